//! Ctrl-C and SIGTERM: the first asks a command to finish what it has begun, the second ends it.

use tokio_util::sync::CancellationToken;
use trickle_server::shutdown::Signals;

use crate::ui::Ui;

/// Exit status after a second signal: 128 and the number of SIGINT.
const CUT_SHORT: i32 = 130;

/// A token that the first signal cancels. Must be called in a tokio runtime.
pub(crate) fn token(ui: &Ui) -> CancellationToken {
    let token = CancellationToken::new();
    let (cancelled, ui) = (token.clone(), ui.clone());
    let mut signals = Signals::new();
    // Ends with the runtime, which is the command's own.
    tokio::spawn(async move {
        signals.next().await;
        ui.say("stopping; once more to stop at once");
        cancelled.cancel();
        signals.next().await;
        std::process::exit(CUT_SHORT);
    });
    token
}
