//! The structures that cross into NVIDIA's libraries lie in memory as the C compiler lays them
//! out from the public headers, which the bindings' package carries.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used)] // Helpers of tests may, like tests.

use std::fmt::Write as _;
use std::mem::{offset_of, size_of};
use std::path::PathBuf;
use std::process::Command;

use nvidia_video_codec_sdk::sys::cuviddec::*;
use nvidia_video_codec_sdk::sys::nvEncodeAPI::*;
use nvidia_video_codec_sdk::sys::nvcuvid::*;

/// Name, size in Rust, and the C expression that must have the same value.
type Check = (String, u64, String);

/// Sizes of structures and places of fields.
macro_rules! layouts {
    ($($name:ident { $($field:ident),* })*) => {
        vec![$(
            (stringify!($name).to_owned(), size_of::<$name>() as u64,
                concat!("sizeof(", stringify!($name), ")").to_owned()),
            $((concat!(stringify!($name), ".", stringify!($field)).to_owned(),
                offset_of!($name, $field) as u64,
                concat!("offsetof(", stringify!($name), ", ", stringify!($field), ")").to_owned()),)*
        )*]
    };
}

/// Constants.
macro_rules! constants {
    ($($name:ident)*) => {
        vec![$((stringify!($name).to_owned(), u64::from($name), stringify!($name).to_owned()),)*]
    };
}

fn checks() -> Vec<Check> {
    let mut checks: Vec<Check> = layouts! {
        CUVIDDECODECAPS { eCodecType, bIsSupported, nOutputFormatMask, nMaxWidth, nMinWidth }
        CUVIDDECODECREATEINFO { ulWidth, CodecType, bitDepthMinus8, ulMaxWidth, display_area,
            OutputFormat, ulTargetWidth, ulNumOutputSurfaces, vidLock, target_rect }
        CUVIDPICPARAMS { PicWidthInMbs, CurrPicIdx, nBitstreamDataLen, pBitstreamData, CodecSpecific }
        CUVIDPROCPARAMS { progressive_frame, output_stream, histogram_dptr }
        CUVIDGETDECODESTATUS { decodeStatus, pReserved }
        CUVIDEOFORMAT { codec, progressive_sequence, min_num_decode_surfaces, coded_width,
            display_area, chroma_format, video_signal_description }
        CUVIDPARSERPARAMS { CodecType, ulMaxNumDecodeSurfaces, ulMaxDisplayDelay, pUserData,
            pfnSequenceCallback, pfnDisplayPicture, pExtVideoInfo }
        CUVIDSOURCEDATAPACKET { flags, payload_size, payload, timestamp }
        CUVIDPARSERDISPINFO { picture_index, repeat_first_field, timestamp }
        NV_ENC_OPEN_ENCODE_SESSION_EX_PARAMS { version, deviceType, device, apiVersion }
        NV_ENC_CAPS_PARAM { version, capsToQuery }
        NV_ENC_PRESET_CONFIG { version, presetCfg }
        NV_ENC_CONFIG { profileGUID, gopLength, frameIntervalP, rcParams, encodeCodecConfig }
        NV_ENC_RC_PARAMS { rateControlMode, averageBitRate, maxBitRate, vbvBufferSize,
            vbvInitialDelay }
        NV_ENC_CONFIG_H264 { level, idrPeriod, h264VUIParameters }
        NV_ENC_CONFIG_H264_VUI_PARAMETERS { videoSignalTypePresentFlag, videoFullRangeFlag,
            colourPrimaries, colourMatrix, bitstreamRestrictionFlag, numUnitInTicks, timeScale }
        NV_ENC_INITIALIZE_PARAMS { encodeGUID, presetGUID, encodeWidth, frameRateNum, enablePTD,
            encodeConfig, maxEncodeWidth, tuningInfo }
        NV_ENC_CONFIG_HEVC { level, idrPeriod, hevcVUIParameters }
        NV_ENC_RECONFIGURE_PARAMS { version, reInitEncodeParams }
        NV_ENC_CREATE_BITSTREAM_BUFFER { version, bitstreamBuffer }
        NV_ENC_REGISTER_RESOURCE { resourceType, pitch, resourceToRegister, registeredResource,
            bufferFormat, bufferUsage }
        NV_ENC_MAP_INPUT_RESOURCE { registeredResource, mappedResource }
        NV_ENC_PIC_PARAMS { inputWidth, encodePicFlags, inputTimeStamp, inputBuffer,
            outputBitstream, bufferFmt, pictureStruct, codecPicParams }
        NV_ENC_LOCK_BITSTREAM { outputBitstream, bitstreamSizeInBytes, outputTimeStamp,
            bitstreamBufferPtr, pictureType }
        NV_ENCODE_API_FUNCTION_LIST { version, nvEncGetEncodeGUIDs, nvEncInitializeEncoder,
            nvEncEncodePicture, nvEncOpenEncodeSessionEx, nvEncGetEncodePresetConfigEx }
    };
    checks.extend(constants! {
        NVENCAPI_VERSION NV_ENCODE_API_FUNCTION_LIST_VER NV_ENC_OPEN_ENCODE_SESSION_EX_PARAMS_VER
        NV_ENC_CAPS_PARAM_VER NV_ENC_PRESET_CONFIG_VER NV_ENC_CONFIG_VER
        NV_ENC_INITIALIZE_PARAMS_VER NV_ENC_CREATE_BITSTREAM_BUFFER_VER
        NV_ENC_REGISTER_RESOURCE_VER NV_ENC_MAP_INPUT_RESOURCE_VER NV_ENC_PIC_PARAMS_VER
        NV_ENC_LOCK_BITSTREAM_VER NV_ENC_RECONFIGURE_PARAMS_VER
    });
    checks
}

/// Numbers that `trickle-gpu` writes as such, because newer drivers may know more of them than an
/// enum in Rust may hold.
fn numbers() -> Vec<Check> {
    [
        (8, "cuvidDecodeStatus_Error"),
        (9, "cuvidDecodeStatus_Error_Concealed"),
        (3, "NV_ENC_PIC_TYPE_IDR"),
        (1, "NV_ENC_ERR_NO_ENCODE_DEVICE"),
        (2, "NV_ENC_ERR_UNSUPPORTED_DEVICE"),
        (10, "NV_ENC_ERR_OUT_OF_MEMORY"),
        (17, "NV_ENC_ERR_NEED_MORE_INPUT"),
        (21, "NV_ENC_ERR_INCOMPATIBLE_CLIENT_KEY"),
        (26, "NV_ENC_ERR_NEED_MORE_OUTPUT"),
        (5, "NV_ENC_VUI_VIDEO_FORMAT_UNSPECIFIED"),
        (2, "NV_ENC_VUI_COLOR_PRIMARIES_UNSPECIFIED"),
    ]
    .map(|(ours, name)| (name.to_owned(), ours, name.to_owned()))
    .into()
}

/// Flags that are written by their place in a word: what the word is in C with them set.
fn flags() -> Vec<Check> {
    let word = |name: &str, at: usize, field: &str| {
        format!(
            "({{ {name} s; memset(&s, 0, sizeof s); {field}; unsigned w; \
             memcpy(&w, (char *)&s + {at}, sizeof w); w; }})"
        )
    };
    let h264 = offset_of!(NV_ENC_CONFIG_H264, _bitfield_1);
    let hevc = offset_of!(NV_ENC_CONFIG_HEVC, _bitfield_1);
    let again = offset_of!(NV_ENC_RECONFIGURE_PARAMS, _bitfield_1);
    let both = "s.resetEncoder = s.forceIDR = 1";
    let headers = "s.repeatSPSPPS = 1";
    vec![
        (
            "repeatSPSPPS of H.264".to_owned(),
            1 << 12,
            word("NV_ENC_CONFIG_H264", h264, headers),
        ),
        (
            "repeatSPSPPS of HEVC".to_owned(),
            1 << 7,
            word("NV_ENC_CONFIG_HEVC", hevc, headers),
        ),
        (
            "resetEncoder and forceIDR".to_owned(),
            0b11,
            word("NV_ENC_RECONFIGURE_PARAMS", again, both),
        ),
    ]
}

/// What cargo says to `arguments`.
fn cargo(arguments: &[&str]) -> String {
    let output = Command::new(env!("CARGO"))
        .args(arguments)
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).unwrap()
}

/// Folder of the headers in the package of the bindings.
fn headers() -> PathBuf {
    // The packages of other platforms are on no machine that did not ask for them.
    let about = cargo(&["-vV"]);
    let host = about.lines().find_map(|line| line.strip_prefix("host: "));
    let metadata = cargo(&[
        "metadata",
        "--format-version=1",
        "--offline",
        "--locked",
        "--filter-platform",
        host.unwrap(),
    ]);
    let metadata: serde_json::Value = serde_json::from_str(&metadata).unwrap();
    let packages = metadata["packages"].as_array().unwrap();
    let package = packages
        .iter()
        .find(|package| package["name"] == "nvidia-video-codec-sdk")
        .unwrap();
    let manifest = PathBuf::from(package["manifest_path"].as_str().unwrap());
    manifest.with_file_name("src").join("sys/headers")
}

#[test]
fn structures_and_versions_are_those_of_the_public_headers() {
    let checks = [checks(), numbers(), flags()].concat();
    let mut source = String::from(
        "#include <stdio.h>\n#include <stddef.h>\n#include <string.h>\n#include \"nvcuvid.h\"\n\
         #include \"nvEncodeAPI.h\"\nint main(void) {\n",
    );
    for (_, _, expression) in &checks {
        writeln!(
            source,
            "printf(\"%llu\\n\", (unsigned long long)({expression}));"
        )
        .unwrap();
    }
    source.push_str("return 0; }\n");
    let folder =
        PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("abi-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let (file, program) = (folder.join("layout.c"), folder.join("layout"));
    std::fs::write(&file, source).unwrap();
    let compiler = std::env::var("CC").unwrap_or_else(|_| "cc".to_owned());
    let compiled = Command::new(compiler)
        .arg(format!("-I{}/tests/abi", env!("CARGO_MANIFEST_DIR")))
        .arg("-I")
        .arg(headers())
        .arg("-o")
        .args([&program, &file])
        .output()
        .unwrap();
    assert!(
        compiled.status.success(),
        "{}",
        String::from_utf8_lossy(&compiled.stderr)
    );
    let output = Command::new(&program).output().unwrap();
    std::fs::remove_dir_all(&folder).unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let values: Vec<u64> = text.lines().map(|line| line.parse().unwrap()).collect();
    assert_eq!(values.len(), checks.len());
    for ((name, ours, _), theirs) in checks.iter().zip(values) {
        assert_eq!(*ours, theirs, "{name}: Rust, C");
    }
}
