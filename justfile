# Everyday habits; `just` lists them. Each is one line, to be typed by hand where just is missing.

_list:
    @just --list --unsorted

# the main job on a real clip
demo *ARGS:
    ./run demo {{ARGS}}

# all tests, or those given: `just test -p trickle-media ts`
test *ARGS:
    ./run test {{ARGS}}

# format the code
fmt:
    cargo fmt --all

# the tests of the FFmpeg backend (packages to install: docs/ffmpeg.md)
test-ffmpeg *ARGS:
    ./run cargo test --package trickle-ffmpeg --features ffmpeg {{ARGS}}
    ./run cargo test --package trickle-cli --features ffmpeg --test cli ffmpeg {{ARGS}}

# the export of spans to an OpenTelemetry collector, tested and linted: CI builds without it
test-otel *ARGS:
    ./run cargo test --locked --package trickle-cli --features otel --test cli telemetry {{ARGS}}
    ./run cargo clippy --locked --package trickle-cli --all-targets --features otel -- -D warnings

# lints, as strict as CI
lint:
    ./run cargo clippy --workspace --all-targets --locked -- -D warnings

# the documentation, opened
doc:
    ./run cargo doc --workspace --no-deps --locked --open

# benchmarks of every stage, or those given: `just bench decode`
bench *ARGS:
    ./run cargo bench --locked --package trickle-benches {{ARGS}}

# whether a stage takes more instructions per frame than it did (needs valgrind); `--update` accepts
bench-check *ARGS:
    ./run cargo run --locked --profile bench --package trickle-benches --bin bench-check -- {{ARGS}}

# compile the GPU kernels to the PTX that is committed; `just ptx --check` compares (no GPU needed)
ptx *ARGS:
    python3 crates/gpu/src/kernels/build.py {{ARGS}}

# tensors to NumPy and back by DLPack (NumPy comes from PyPI into target/)
dlpack-check:
    ./run cargo build --locked --package trickle-media --example dlpack_capsule
    python3 crates/media/examples/dlpack_check.py

# NVIDIA's own parser on the CPU, beside ours (not free: skipped where it is not installed)
check-nvparser:
    tools/check-nvparser

# everything that needs an NVIDIA card, on a machine that has one: `build` here, `run` there, or both
gpu-check *ARGS:
    tools/gpu-check {{ARGS}}

# fuzz one target for some seconds (needs cargo-fuzz and a nightly toolchain): `just fuzz ts_demux 60`
fuzz TARGET SECONDS='60':
    cargo +nightly fuzz run {{TARGET}} -- -max_total_time={{SECONDS}}

# the fuzz targets of the protocol over their committed corpus, without a nightly toolchain
fuzz-smoke:
    ./run cargo test --locked --package trickle-proto --test fuzz_smoke

# licences, advisories and sources of dependencies (needs cargo-deny)
deny:
    cargo deny --locked check

# build and test a project of every template of `trickle init`, against this checkout
init-check:
    crates/cli/templates/check

# throw requests at a worker and check the answers against its OpenAPI description (needs Python)
api-check *ARGS:
    crates/server/api-check/run {{ARGS}}

# lint what lies in deploy/ (needs Python; uses kubectl and systemd-analyze where installed)
deploy-check:
    deploy/check

# PyTrickle's own code beside ours, from an environment that it is installed in (benches/peers)
interop VENV='venv':
    ./run cargo build --release --locked --package trickle-cli
    {{VENV}}/bin/python benches/peers/interop.py

# start and stop sessions many times: threads, sockets and memory must be back where they were
soak CYCLES='200':
    TRICKLE_SOAK_CYCLES={{CYCLES}} ./run test -p trickle-cli --test cli cycles -- --nocapture

# everything that CI runs
ci:
    .ci/run
