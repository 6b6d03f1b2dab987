//! Compiles the `.proto` files with protox, so that building needs no protoc.

use std::error::Error;
use std::path::PathBuf;

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo:rerun-if-changed=hedgesweep");
    let out = PathBuf::from(std::env::var("OUT_DIR")?);
    let mut compiler = protox::Compiler::new(["."])?;
    compiler.include_imports(true).include_source_info(true).open_files(["hedgesweep/v1/fleet.proto"])?;
    // For the server's reflection service; `compile_fds` does not write it.
    std::fs::write(out.join("fleet_descriptor.bin"), compiler.encode_file_descriptor_set())?;
    tonic_prost_build::configure()
        .bytes(".")
        .codec_path("crate::codec::CountingCodec")
        .compile_fds(compiler.file_descriptor_set())?;
    Ok(())
}
