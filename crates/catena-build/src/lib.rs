//! Lets programs find libtorch when they run. torch-sys tells its folder to the crates that depend on it directly, and to no others; catena hands it on. So every
//! crate with programs or tests has a build script, of one line:
//!
//! ```no_run
//! catena_build::link_libtorch();
//! ```
//!
//! in its `main`, with `catena-build` among its `[build-dependencies]`.
#![forbid(unsafe_code)]

use std::path::Path;

/// Where the folder is told: by torch-sys, or by catena.
const TOLD_IN: [&str; 2] = ["DEP_TCH_LIBTORCH_LIB", "DEP_CATENA_LIBTORCH_LIB"];

/// Tells Cargo that programs, tests and examples of this package look for libtorch in the folder that torch-sys or catena names; where libtorch was built for
/// CUDA, that they load its CUDA part too, which nothing refers to by name. A package with a `links` key hands the folder on, as
/// `DEP_<links>_LIBTORCH_LIB`. Without libtorch (`doc-only`) it does nothing. For build scripts.
pub fn link_libtorch() {
    println!("cargo::rerun-if-changed=build.rs");
    let Some(lib) = TOLD_IN.iter().find_map(|name| std::env::var(name).ok()) else { return };
    let hands_on = std::env::var_os("CARGO_MANIFEST_LINKS").is_some();
    let has_cuda = Path::new(&lib).join("libtorch_cuda.so").exists();
    instructions(&lib, hands_on, has_cuda).iter().for_each(|line| println!("cargo::{line}"));
}

fn instructions(lib: &str, hands_on: bool, has_cuda: bool) -> Vec<String> {
    // a set-up that lays out another build is seen
    let mut lines = vec![format!("rerun-if-changed={lib}"), format!("rustc-link-arg=-Wl,-rpath,{lib}")];
    if hands_on {
        lines.push(format!("metadata=libtorch_lib={lib}"));
    }
    if has_cuda {
        lines.push(format!("rustc-link-arg=-Wl,--no-as-needed,-L{lib},-ltorch_cuda,--as-needed"));
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn programs_look_in_libtorchs_folder_and_load_its_cuda_part_if_there_is_one() {
        let plain = instructions("/opt/libtorch/lib", false, false);
        assert_eq!(
            plain,
            ["rerun-if-changed=/opt/libtorch/lib", "rustc-link-arg=-Wl,-rpath,/opt/libtorch/lib"]
        );
        let all = instructions("/l", true, true);
        assert_eq!(
            all[2..],
            ["metadata=libtorch_lib=/l", "rustc-link-arg=-Wl,--no-as-needed,-L/l,-ltorch_cuda,--as-needed"]
        );
    }
}
