//! Lets this program find libtorch at run time.
fn main() {
    if let Ok(lib) = std::env::var("DEP_CATENA_LIBTORCH_LIB") {
        println!("cargo::rustc-link-arg=-Wl,-rpath,{lib}");
    }
}
