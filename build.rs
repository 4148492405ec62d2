//! Lets tests and examples find libtorch at run time, and hands its folder on to dependents.
fn main() {
    catena_build::link_libtorch();
}
