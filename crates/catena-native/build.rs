//! Compiles the C++ shim against the libtorch that torch-sys found, and lets tests find it at run time.
use std::mem::{offset_of, size_of};
use std::path::{Path, PathBuf};
use std::{env, fs};

/// What C++ shares with Rust of one rule.
struct Rule {
    entry: &'static str,
    arguments: &'static str,
    /// Of the arguments, in bytes.
    size: usize,
    /// Each argument's name, its type in Rust, and where it is.
    fields: Vec<(&'static str, &'static str, usize)>,
}

macro_rules! rules {
    ($($(#[$doc:meta])* $name:ident $entry:ident $arguments:ident { $($field:ident: $type:ty,)* } $lists:expr;)*) => {
        [$({
            #[repr(C)]
            struct $arguments { $($field: $type,)* }
            Rule {
                entry: stringify!($entry),
                arguments: stringify!($arguments),
                size: size_of::<$arguments>(),
                fields: vec![$((stringify!($field), stringify!($type), offset_of!($arguments, $field)),)*],
            }
        }),*]
    };
}

/// For C++: the rules' arguments, asserted to be laid out as in Rust, and their entry points.
fn header(rules: &[Rule]) -> String {
    let mut text =
        "// Made by build.rs from src/rules/table.rs.\n#pragma once\n#include \"guard.h\"\n".to_owned();
    text += "#include <cstddef>\n#include <cstdint>\n";
    for Rule { entry, arguments, size, fields } in rules {
        text += &format!("\nstruct {arguments} {{\n");
        for (name, kind, _) in fields {
            let kind = match *kind {
                "f64" => "double",
                "i64" => "int64_t",
                "bool" => "bool",
                other => panic!("{arguments}: `{name}` is {other}, for which C++ has no type here"),
            };
            text += &format!("  {kind} {name};\n");
        }
        let why = "\"laid out as in Rust\"";
        text += &format!("}};\nstatic_assert(sizeof({arguments}) == {size}, {why});\n");
        for (name, _, at) in fields {
            text += &format!("static_assert(offsetof({arguments}, {name}) == {at}, {why});\n");
        }
        text += &format!("API int {entry}(TensorList*, TensorList* const*, uint8_t*, const {arguments}*);\n");
    }
    text
}

/// For Rust: the same numbers, asserted where the crate is compiled, which may be for another machine.
fn layout(rules: &[Rule]) -> String {
    let mut text = String::new();
    for Rule { arguments, size, fields, .. } in rules {
        text += &format!("const _: () = assert!(size_of::<{arguments}>() == {size});\n");
        for (name, _, at) in fields {
            text += &format!("const _: () = assert!(std::mem::offset_of!({arguments}, {name}) == {at});\n");
        }
    }
    text
}

/// The files of the shim.
fn sources() -> Vec<PathBuf> {
    let entries = fs::read_dir("cpp").expect("the shim's folder is there");
    let paths = entries.map(|entry| entry.expect("the shim's folder can be read").path());
    let mut sources: Vec<PathBuf> =
        paths.filter(|path| path.extension().is_some_and(|extension| extension == "cpp")).collect();
    sources.sort();
    sources
}

fn main() {
    println!("cargo::rerun-if-changed=cpp");
    println!("cargo::rerun-if-env-changed=LIBTORCH_INCLUDE");
    println!("cargo::rerun-if-env-changed=LIBTORCH_CXX11_ABI");
    let made = PathBuf::from(env::var("OUT_DIR").expect("Cargo names a folder for what is made"));
    let rules = include!("src/rules/table.rs");
    fs::write(made.join("arguments.h"), header(&rules)).expect("the header can be written");
    fs::write(made.join("layout.rs"), layout(&rules)).expect("the layout can be written");
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
        .include(Path::new("cpp"))
        .include(&made)
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
        .files(sources())
        .compile("catena_native");
    println!("cargo::rustc-link-search=native={}", lib.display());
    println!("cargo::rustc-link-lib=dylib=torch_cpu");
    println!("cargo::rustc-link-lib=dylib=c10");
    println!("cargo::rustc-link-lib=dylib=gomp");
    catena_build::link_libtorch();
}
