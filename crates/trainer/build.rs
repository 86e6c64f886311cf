//! Records the git commit that the program is built from.

use std::process::Command;

fn main() {
    // `logs/HEAD` changes with every commit and checkout; a source archive has none, and cargo then reruns this.
    for file in ["HEAD", "logs/HEAD"] {
        let path = format!("../../.git/{file}");
        if std::path::Path::new(&path).exists() {
            println!("cargo:rerun-if-changed={path}");
        }
    }
    println!("cargo:rerun-if-changed=build.rs");
    let git = Command::new("git").args(["rev-parse", "HEAD"]).output();
    let commit = git.ok().filter(|output| output.status.success());
    let commit = commit.and_then(|output| String::from_utf8(output.stdout).ok());
    println!("cargo:rustc-env=GIT_COMMIT={}", commit.as_deref().unwrap_or("unknown").trim());
}
