//! Compiles the C++ shim against the libtorch that torch-sys found, and lets tests find it at run time.
use std::{env, path::PathBuf};

const SOURCES: [&str; 17] = [
    "context",
    "gradients",
    "observe",
    "optim",
    "precision",
    "adadelta",
    "adafactor",
    "adagrad",
    "adamax",
    "asgd",
    "lamb",
    "lion",
    "muon",
    "nadam",
    "radam",
    "rmsprop",
    "rprop",
];

fn main() {
    println!("cargo::rerun-if-changed=cpp");
    println!("cargo::rerun-if-env-changed=LIBTORCH_INCLUDE");
    println!("cargo::rerun-if-env-changed=LIBTORCH_CXX11_ABI");
    if env::var_os("CARGO_FEATURE_DOC_ONLY").is_some() {
        return;
    }
    // torch-sys has `links = "tch"`, so its folder arrives under this name
    let lib = PathBuf::from(env::var("DEP_TCH_LIBTORCH_LIB").expect("torch-sys names libtorch's folder"));
    let root = match env::var("LIBTORCH_INCLUDE") {
        Ok(include) => PathBuf::from(include),
        Err(_) => lib.parent().expect("libtorch's lib folder has a parent").to_path_buf(),
    };
    let include = root.join("include");
    let abi = env::var("LIBTORCH_CXX11_ABI").unwrap_or_else(|_| "1".into());
    cc::Build::new()
        .cpp(true)
        .pic(true)
        .warnings(false)
        .include(&include)
        .include(include.join("torch/csrc/api/include"))
        .flag("-std=c++17")
        .flag(format!("-D_GLIBCXX_USE_CXX11_ABI={abi}"))
        .flag("-DGLOG_USE_GLOG_EXPORT")
        .flag("-fopenmp")
        // the kernels of this crate: vectorized, and the same bits on every processor
        .flag("-O3")
        .flag("-fno-math-errno")
        .flag("-fno-trapping-math")
        .flag("-ffp-contract=off")
        .files(SOURCES.map(|name| format!("cpp/{name}.cpp")))
        .compile("catena_native");
    println!("cargo::rustc-link-search=native={}", lib.display());
    println!("cargo::rustc-link-lib=dylib=torch_cpu");
    println!("cargo::rustc-link-lib=dylib=c10");
    println!("cargo::rustc-link-lib=dylib=gomp");
    catena_build::link_libtorch();
}
