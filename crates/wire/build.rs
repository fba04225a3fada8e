//! Compiles `proto/` without protoc, so that a C compiler and cargo are enough.

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let root = "../../proto";
    let files = [
        "governance",
        "catalog",
        "relay",
        "ticket",
        "dry_run",
        "fit",
        "enrol",
        "witness",
    ];
    let files = files.map(|name| format!("{root}/datenraum/v1/{name}.proto"));
    let descriptors = protox::compile(&files, [root])?;
    // What a relay carries is handed on, not copied.
    let carried = [
        "HoldResponse",
        "CarryRequest",
        "CarryResponse",
        "ReachRequest",
        "ReachResponse",
    ];
    let carried = carried.map(|message| format!(".datenraum.v1.{message}"));
    let building = carried
        .into_iter()
        .fold(tonic_prost_build::configure(), tonic_prost_build::Builder::bytes);
    building.compile_fds(descriptors)?;
    println!("cargo:rerun-if-changed={root}");
    Ok(())
}
