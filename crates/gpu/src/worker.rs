//! A thread for what may not be done where it comes up: other libraries let go of memory on any
//! thread, at any time, while the device may still be using it.

use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread::JoinHandle;

use trickle_media::frame::dlpack::ManagedTensor;

use crate::device::Shared;
use crate::error::GpuError;
use crate::image::CudaImage;
use crate::pool::Event;

/// The thread of one device, from its first job to the device's end.
pub(crate) struct Worker {
    jobs: Option<Sender<Job>>,
    thread: Option<JoinHandle<()>>,
}

/// Something that was let go of.
pub(crate) enum Job {
    /// Ours, which another library had: its last work on it is known to nobody.
    Returned(Arc<CudaImage>),
    /// Another library's, which our streams may still read.
    Finished(Arc<Shared>, ManagedTensor, Vec<Event>),
    /// Answer once everything before is done, and what came of it.
    Answer(Sender<()>),
}

impl Worker {
    pub(crate) fn start() -> Result<Self, GpuError> {
        let (jobs, todo) = mpsc::channel();
        let thread = std::thread::Builder::new()
            .name("gpu-return".into())
            .spawn(move || run(&todo))
            .map_err(|error| GpuError::Thread(error.to_string()))?;
        Ok(Self {
            jobs: Some(jobs),
            thread: Some(thread),
        })
    }

    /// Where jobs go. Sending calls nothing of CUDA's and waits for nothing.
    pub(crate) fn jobs(&self) -> Option<Sender<Job>> {
        self.jobs.clone()
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        drop(self.jobs.take());
        // Jobs hold the device: none is left. Where it goes with the last of them, this is the
        // thread itself, which ends next.
        if let Some(thread) = self.thread.take()
            && thread.thread().id() != std::thread::current().id()
            && thread.join().is_err()
        {
            tracing::error!("the thread that returns device memory panicked");
        }
    }
}

fn run(todo: &Receiver<Job>) {
    while let Ok(job) = todo.recv() {
        let Job::Answer(done) = job else {
            work(job);
            continue;
        };
        // What others were given back may be ours in their turn: it has come meanwhile.
        let mut asked = vec![done];
        while let Ok(job) = todo.try_recv() {
            match job {
                Job::Answer(done) => asked.push(done),
                job => work(job),
            }
        }
        for done in asked {
            // Whoever asked may have gone.
            let _ = done.send(());
        }
    }
}

fn work(job: Job) {
    match job {
        Job::Returned(image) => {
            // The other library's work may be in any stream of the context.
            let shared = Arc::clone(image.shared());
            if let Err(error) = shared.synchronize() {
                tracing::warn!(%error, "device memory came back from another library");
            }
            drop(image);
        }
        Job::Finished(shared, tensor, events) => {
            if let Ok(_entered) = shared.enter() {
                for event in &events {
                    // A failure means that no work is left.
                    let _ = event.synchronize();
                }
            }
            drop(events);
            drop(tensor);
        }
        Job::Answer(_) => {}
    }
}
