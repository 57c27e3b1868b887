//! Pictures in interpreted device memory, and the shipped kernels run on them.

use trickle_gpu::kernels::{BLOCK, Call, Module, Nv12View, TensorView};
use trickle_gpu_emu::ptx::{self, Arena, Launch, LaunchError, Order};
use trickle_media::convert::reference::Coefficients;
use trickle_media::frame::{PixelFormat, PlanarImage, Pool};
use trickle_media::stream::YuvMatrix;

/// Bytes between the end of a row and the next, to tell pitch from width.
const GAP: u32 = 24;
/// What fills memory that no kernel may touch.
const UNTOUCHED: u8 = 0xa5;

/// Every matrix and range.
pub(crate) fn all_coefficients() -> [Coefficients; 4] {
    [
        Coefficients::new(YuvMatrix::Bt601, false),
        Coefficients::new(YuvMatrix::Bt601, true),
        Coefficients::new(YuvMatrix::Bt709, false),
        Coefficients::new(YuvMatrix::Bt709, true),
    ]
}

/// A repeatable sequence of numbers (xorshift64).
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    pub(crate) fn bytes(&mut self, count: usize) -> Vec<u8> {
        (0..count).map(|_| (self.next() >> 32) as u8).collect()
    }

    /// Mostly in [0, 1], sometimes beyond, rarely no number.
    pub(crate) fn floats(&mut self, count: usize) -> Vec<f32> {
        let mut float = || match self.next() >> 32 & 63 {
            0 => f32::NAN,
            1 => f32::INFINITY,
            2 => f32::NEG_INFINITY,
            3 => -0.0,
            _ => (self.next() >> 40) as f32 / (1 << 24) as f32 * 1.2 - 0.1,
        };
        (0..count).map(|_| float()).collect()
    }

    pub(crate) fn nv12(&mut self, width: usize, height: usize) -> PlanarImage {
        let mut image = PlanarImage::new(PixelFormat::Nv12, width, height, &Pool::new()).unwrap();
        for plane in image.planes_mut() {
            let bytes = self.bytes(plane.len());
            plane.copy_from_slice(&bytes);
        }
        image
    }
}

/// Runs a call on the PTX that ships. Launched in both orders of threads on equal memory, to
/// show that none depends on another.
pub(crate) fn run(arena: &mut Arena, call: &Call) -> Result<(), LaunchError> {
    let module = ptx::Module::parse(call.module().ptx()).unwrap();
    let kernel = module.kernel(call.kernel()).unwrap();
    let launch = |order| Launch {
        grid: call.grid(),
        block: BLOCK,
        order,
    };
    let mut other = arena.clone();
    kernel.run(launch(Order::Forward), call.params(), arena)?;
    kernel.run(launch(Order::Backward), call.params(), &mut other)?;
    assert!(
        *arena == other,
        "{}: threads disturb each other",
        call.kernel()
    );
    Ok(())
}

/// All kernels' text is understood.
pub(crate) fn kernels() -> impl Iterator<Item = (Module, String)> {
    Module::ALL.into_iter().flat_map(|module| {
        let parsed = ptx::Module::parse(module.ptx()).unwrap();
        let names: Vec<String> = parsed
            .kernels()
            .iter()
            .map(|k| k.name().to_owned())
            .collect();
        names.into_iter().map(move |name| (module, name))
    })
}

/// Rows with [`GAP`] between them, the last without.
fn pitched(rows: &[u8], row: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (index, row) in rows.chunks_exact(row).enumerate() {
        if index > 0 {
            bytes.extend([UNTOUCHED; GAP as usize]);
        }
        bytes.extend(row);
    }
    bytes
}

/// The rows out of [`pitched`] memory; what lies between must be as it was.
fn packed(bytes: &[u8], row: usize) -> Vec<u8> {
    let mut rows = Vec::new();
    for line in bytes.chunks(row + GAP as usize) {
        rows.extend(&line[..row]);
        assert!(
            line[row..].iter().all(|&byte| byte == UNTOUCHED),
            "a kernel wrote between rows"
        );
    }
    rows
}

/// Puts a picture into memory, each plane an allocation without a byte to spare.
pub(crate) fn put_nv12(arena: &mut Arena, image: &PlanarImage) -> Nv12View {
    let (width, chroma) = (image.width(), 2 * image.width().div_ceil(2));
    Nv12View {
        luma: arena.put(pitched(image.plane(0), width)),
        chroma: arena.put(pitched(image.plane(1), chroma)),
        luma_pitch: width as u32 + GAP,
        chroma_pitch: chroma as u32 + GAP,
        width: width as u32,
        height: image.height() as u32,
    }
}

/// A picture that was never written.
pub(crate) fn empty_nv12(arena: &mut Arena, width: usize, height: usize) -> Nv12View {
    let mut image = PlanarImage::new(PixelFormat::Nv12, width, height, &Pool::new()).unwrap();
    for plane in image.planes_mut() {
        plane.fill(UNTOUCHED);
    }
    put_nv12(arena, &image)
}

/// Luma rows and chroma rows.
pub(crate) fn get_nv12(arena: &Arena, view: &Nv12View) -> (Vec<u8>, Vec<u8>) {
    let width = view.width as usize;
    (
        packed(arena.get(view.luma).unwrap(), width),
        packed(arena.get(view.chroma).unwrap(), 2 * width.div_ceil(2)),
    )
}

pub(crate) fn put_tensor(
    arena: &mut Arena,
    width: usize,
    height: usize,
    values: &[f32],
) -> TensorView {
    TensorView {
        data: arena.put(
            values
                .iter()
                .flat_map(|value| value.to_le_bytes())
                .collect(),
        ),
        width: width as u32,
        height: height as u32,
        channels: (values.len() / (width * height)) as u32,
    }
}

pub(crate) fn get_tensor(arena: &Arena, view: &TensorView) -> Vec<f32> {
    let bytes = arena.get(view.data).unwrap();
    let values = bytes.chunks_exact(4);
    values
        .map(|value| f32::from_le_bytes(value.try_into().unwrap()))
        .collect()
}

/// Equal bit for bit; names the first difference.
pub(crate) fn assert_same_floats(got: &[f32], expected: &[f32], what: &str) {
    assert_eq!(got.len(), expected.len(), "{what}");
    let pairs = got.iter().zip(expected);
    if let Some(at) = pairs.clone().position(|(a, b)| a.to_bits() != b.to_bits()) {
        let differ = pairs.filter(|(a, b)| a.to_bits() != b.to_bits()).count();
        panic!(
            "{what}: {differ} of {} differ; value {at} is {:?} ({:#x}), not {:?} ({:#x})",
            got.len(),
            got[at],
            got[at].to_bits(),
            expected[at],
            expected[at].to_bits()
        );
    }
}
