//! Compiles `proto/` without protoc, so that a C compiler and cargo are enough.

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let root = "../../proto";
    let files = ["governance", "catalog", "ticket", "dry_run"].map(|name| format!("{root}/datenraum/v1/{name}.proto"));
    let descriptors = protox::compile(&files, [root])?;
    tonic_prost_build::configure().compile_fds(descriptors)?;
    println!("cargo:rerun-if-changed={root}");
    Ok(())
}
