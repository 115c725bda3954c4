//! Links the system's libsrt and libnice: the same shared libraries that GStreamer's srt and nice plugins use.
fn main() {
    // A new migration is compiled in; cargo does not see it by itself.
    println!("cargo::rerun-if-changed=migrations");
    println!("cargo::rerun-if-changed=build.rs");
    if let Err(error) = pkg_config::Config::new().atleast_version("1.5.1").probe("srt") {
        eprintln!("libsrt 1.5.1 or newer was not found by pkg-config (Debian: libsrt-gnutls-dev): {error}");
        std::process::exit(1);
    }
    if let Err(error) = pkg_config::Config::new().atleast_version("0.1.21").probe("nice") {
        eprintln!("libnice 0.1.21 or newer was not found by pkg-config (Debian: libnice-dev): {error}");
        std::process::exit(1);
    }
}
