//! Links the system's libsrt: the same shared library that GStreamer's srt plugin uses.
fn main() {
    // A new migration is compiled in; cargo does not see it by itself.
    println!("cargo::rerun-if-changed=migrations");
    println!("cargo::rerun-if-changed=build.rs");
    if let Err(error) = pkg_config::Config::new().atleast_version("1.5.1").probe("srt") {
        eprintln!("libsrt 1.5.1 or newer was not found by pkg-config (Debian: libsrt-gnutls-dev): {error}");
        std::process::exit(1);
    }
}
