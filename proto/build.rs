//! Compiles the `.proto` files with protox, so that building needs no protoc.

use std::error::Error;
use std::path::PathBuf;

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo:rerun-if-changed=hedgesweep");
    println!("cargo:rerun-if-changed=keda");
    let out = PathBuf::from(std::env::var("OUT_DIR")?);
    let mut compiler = protox::Compiler::new(["."])?;
    compiler
        .include_imports(true)
        .include_source_info(true)
        .open_files(["hedgesweep/v1/fleet.proto", "hedgesweep/v1/watch.proto"])?;
    // For the server's reflection service; `compile_fds` does not write it.
    std::fs::write(out.join("fleet_descriptor.bin"), compiler.encode_file_descriptor_set())?;
    tonic_prost_build::configure()
        .bytes(".")
        .codec_path("crate::codec::CountingCodec")
        .compile_fds(compiler.file_descriptor_set())?;
    // On its own: the fleet's reflection has nothing to say of it.
    let scaler = protox::compile(["keda/externalscaler.proto"], ["."])?;
    tonic_prost_build::configure().compile_fds(scaler)?;
    Ok(())
}
