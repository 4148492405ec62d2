//! Lets tests find libtorch at run time.
fn main() {
    catena_build::link_libtorch();
}
