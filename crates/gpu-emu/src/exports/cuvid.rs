//! `libnvcuvid.so.1`: parser and decoder.

use std::ffi::{c_int, c_uint};

use nvidia_video_codec_sdk::sys::cuviddec::{
    CUVIDDECODECAPS, CUVIDDECODECREATEINFO, CUVIDPICPARAMS, CUVIDPROCPARAMS, cudaVideoChromaFormat,
    cudaVideoCodec, cudaVideoDeinterlaceMode, cudaVideoSurfaceFormat,
};
use nvidia_video_codec_sdk::sys::nvcuvid::{
    CUVIDPARSERPARAMS, CUVIDSOURCEDATAPACKET, CUvideopacketflags,
};

use super::pointer::{In, Out};
use crate::driver::{
    Callbacks, Decoder, Driver, Handle, Parser, Shape, Status, call, call_in_context, handle,
};
use crate::settings::setting;

/// Answers as a card of the Ampere generation does.
#[unsafe(no_mangle)]
extern "C" fn cuvidGetDecoderCaps(mut caps: Out<CUVIDDECODECAPS>) -> c_int {
    call_in_context(|_| {
        let caps = caps.get().ok_or(Status::INVALID_VALUE)?;
        if caps.reserved1 != [0; 3] || caps.reserved3 != [0; 10] {
            return Err(Status::INVALID_VALUE);
        }
        let codec = matches!(
            caps.eCodecType,
            cudaVideoCodec::cudaVideoCodec_H264 | cudaVideoCodec::cudaVideoCodec_HEVC
        );
        let format = caps.eChromaFormat == cudaVideoChromaFormat::cudaVideoChromaFormat_420;
        if !codec || !format || caps.nBitDepthMinus8 != 0 {
            caps.bIsSupported = 0;
            return Ok(());
        }
        let side = match caps.eCodecType {
            cudaVideoCodec::cudaVideoCodec_H264 => 4096,
            _ => 8192,
        };
        caps.bIsSupported = 1;
        caps.nNumNVDECs = 1;
        caps.nOutputFormatMask = 1;
        (caps.nMaxWidth, caps.nMaxHeight) = (side, side);
        caps.nMaxMBCount = side * side / 256;
        (caps.nMinWidth, caps.nMinHeight) = (48, 16);
        Ok(())
    })
}

#[unsafe(no_mangle)]
extern "C" fn cuvidCreateVideoParser(parser: Out<Handle>, params: In<CUVIDPARSERPARAMS>) -> c_int {
    call(|machine| {
        let params = params.get()?;
        // HEVC is real hardware's alone.
        if params.CodecType != cudaVideoCodec::cudaVideoCodec_H264 {
            return Err(Status::NOT_SUPPORTED);
        }
        let callbacks = Callbacks {
            user: params.pUserData,
            sequence: params.pfnSequenceCallback,
            decode: params.pfnDecodePicture,
            display: params.pfnDisplayPicture,
        };
        let handle = handle();
        let surfaces = params.ulMaxNumDecodeSurfaces as usize;
        machine
            .parsers
            .insert(handle, Some(Parser::new(callbacks, surfaces)));
        parser.put(handle)
    })
}

#[unsafe(no_mangle)]
extern "C" fn cuvidDestroyVideoParser(parser: Handle) -> c_int {
    call(|machine| {
        let parser = machine
            .parsers
            .remove(&parser)
            .ok_or(Status::INVALID_HANDLE)?;
        // Within a callback of its own it cannot go.
        parser.map(|_| ()).ok_or(Status::INVALID_HANDLE)
    })
}

#[unsafe(no_mangle)]
extern "C" fn cuvidParseVideoData(handle: Handle, packet: In<CUVIDSOURCEDATAPACKET>) -> c_int {
    let mut parser = None;
    let taken = call(|machine| {
        let found = machine
            .parsers
            .get_mut(&handle)
            .ok_or(Status::INVALID_HANDLE)?;
        parser = found.take();
        Ok(())
    });
    let (Some(mut parser), 0) = (parser, taken) else {
        return if taken == 0 {
            Status::INVALID_HANDLE.0
        } else {
            taken
        };
    };
    // Callbacks call the driver: its lock is free meanwhile.
    if let Ok(packet) = packet.get() {
        let has = |flag: CUvideopacketflags| packet.flags & (flag as u64) != 0;
        let data = if packet.payload.is_null() {
            &[]
        } else {
            // SAFETY: the caller promised that many bytes.
            unsafe { std::slice::from_raw_parts(packet.payload, packet.payload_size as usize) }
        };
        let whole = has(CUvideopacketflags::CUVID_PKT_ENDOFPICTURE);
        parser.parse(data, packet.timestamp, whole && !data.is_empty());
        if has(CUvideopacketflags::CUVID_PKT_ENDOFSTREAM) {
            parser.end();
        }
    }
    call(|machine| {
        if let Some(place) = machine.parsers.get_mut(&handle) {
            *place = Some(parser);
        }
        Ok(())
    })
}

/// What the decoder is asked for, if hardware would take it.
fn shape(info: &CUVIDDECODECREATEINFO) -> Result<Shape, Status> {
    let area = &info.display_area;
    let side = |value: i16| usize::try_from(value).map_err(|_| Status::INVALID_VALUE);
    let shown = [
        side(area.left)?,
        side(area.top)?,
        side(area.right)?,
        side(area.bottom)?,
    ];
    let shape = Shape {
        coded: (info.ulWidth as usize, info.ulHeight as usize),
        shown,
        surfaces: info.ulNumDecodeSurfaces as usize,
        outputs: info.ulNumOutputSurfaces as usize,
        deinterlaces: info.DeinterlaceMode
            != cudaVideoDeinterlaceMode::cudaVideoDeinterlaceMode_Weave,
    };
    let [left, top, right, bottom] = shown;
    let fits = left < right && top < bottom && right <= shape.coded.0 && bottom <= shape.coded.1;
    // Scaling is not emulated, and our program asks for none.
    let unscaled = info.ulTargetWidth as usize == right.wrapping_sub(left)
        && info.ulTargetHeight as usize == bottom.wrapping_sub(top);
    let counts = (1..=32).contains(&shape.surfaces) && (1..=64).contains(&shape.outputs);
    let format = info.OutputFormat == cudaVideoSurfaceFormat::cudaVideoSurfaceFormat_NV12
        && info.ChromaFormat == cudaVideoChromaFormat::cudaVideoChromaFormat_420
        && info.bitDepthMinus8 == 0;
    if fits && unscaled && counts && format {
        Ok(shape)
    } else {
        Err(Status::INVALID_VALUE)
    }
}

#[unsafe(no_mangle)]
extern "C" fn cuvidCreateDecoder(decoder: Out<Handle>, info: In<CUVIDDECODECREATEINFO>) -> c_int {
    call_in_context(|driver| {
        let info = info.get()?;
        if info.CodecType != cudaVideoCodec::cudaVideoCodec_H264 {
            return Err(Status::NOT_SUPPORTED);
        }
        let shape = shape(info)?;
        driver.decoders.created += 1;
        if setting("second-decoder-fails") && driver.decoders.created == 2 {
            return Err(Status::OUT_OF_MEMORY);
        }
        let handle = handle();
        driver
            .decoders
            .by_handle
            .insert(handle, Decoder::new(shape)?);
        decoder.put(handle)
    })
}

/// Runs `body` with an open decoder.
fn with_decoder(
    handle: Handle,
    body: impl FnOnce(&mut Driver, &mut Decoder) -> Result<(), Status>,
) -> c_int {
    call_in_context(|driver| {
        let taken = driver.decoders.by_handle.remove(&handle);
        let mut decoder = taken.ok_or(Status::INVALID_HANDLE)?;
        let result = body(driver, &mut decoder);
        driver.decoders.by_handle.insert(handle, decoder);
        result
    })
}

#[unsafe(no_mangle)]
extern "C" fn cuvidDestroyDecoder(handle: Handle) -> c_int {
    call_in_context(|driver| {
        let decoder = driver.decoders.by_handle.remove(&handle);
        let lost = decoder
            .ok_or(Status::INVALID_HANDLE)?
            .destroy(&mut driver.memory);
        driver.lose(lost);
        Ok(())
    })
}

#[unsafe(no_mangle)]
extern "C" fn cuvidDecodePicture(handle: Handle, params: In<CUVIDPICPARAMS>) -> c_int {
    with_decoder(handle, |driver, decoder| {
        let params = params.get()?;
        if setting("dies-at-tenth-picture") && decoder.decoded() == 9 {
            return Err(driver.die(Status::LAUNCH_FAILED));
        }
        if params.pBitstreamData.is_null() {
            return Err(Status::INVALID_VALUE);
        }
        if setting("third-picture-refused") && decoder.decoded() == 2 {
            decoder.refuse();
            return Err(Status::INVALID_VALUE);
        }
        // SAFETY: the parser's own bytes, during its callback.
        let unit = unsafe {
            std::slice::from_raw_parts(params.pBitstreamData, params.nBitstreamDataLen as usize)
        };
        let side = |blocks: c_int| 16 * usize::try_from(blocks).unwrap_or(0);
        let coded = (side(params.PicWidthInMbs), side(params.FrameHeightInMbs));
        decoder.decode(params.CurrPicIdx, coded, unit)
    })
}

#[unsafe(no_mangle)]
extern "C" fn cuvidGetDecodeStatus(handle: Handle, index: c_int, status: Out<u32>) -> c_int {
    with_decoder(handle, |_, decoder| status.put(decoder.status(index)?))
}

#[unsafe(no_mangle)]
extern "C" fn cuvidMapVideoFrame64(
    handle: Handle,
    index: c_int,
    address: Out<u64>,
    pitch: Out<c_uint>,
    params: In<CUVIDPROCPARAMS>,
) -> c_int {
    with_decoder(handle, |driver, decoder| {
        let stream = params.get()?.output_stream as Handle;
        driver.streams.check(stream)?;
        let surface = decoder.map(index, stream, &mut driver.memory, &mut driver.streams)?;
        address.put(surface.address)?;
        pitch.put(surface.pitch)
    })
}

#[unsafe(no_mangle)]
extern "C" fn cuvidUnmapVideoFrame64(handle: Handle, address: u64) -> c_int {
    with_decoder(handle, |driver, decoder| {
        decoder.unmap(address, &mut driver.memory)
    })
}
