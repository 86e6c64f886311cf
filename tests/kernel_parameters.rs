//! Kernels of every crate have their parameters in fixed, commented sections: `// sizes`, `// in`, `// out`, in this order,
//! and whatever they only write ends in `out`. A launch of twenty arguments by position is read against that order.

use std::fs;
use std::path::{Path, PathBuf};

/// Comments that open a section, in their order.
const SECTIONS: [&str; 3] = ["// sizes", "// in", "// out"];

/// All Rust files below `dir`.
fn sources(dir: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).expect("a readable folder").flatten() {
        let path = entry.path();
        if path.is_dir() {
            found.extend(sources(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
    found
}

/// What is wrong with the parameters of a kernel, between its parentheses.
fn fault(parameters: &str) -> Option<String> {
    let mut section = None;
    for line in parameters.lines().map(str::trim).filter(|line| !line.is_empty()) {
        if let Some(next) = SECTIONS.iter().position(|name| *name == line) {
            if section.is_some_and(|last| last >= next) {
                return Some(format!("the section `{line}` stands behind `{}`", SECTIONS[section.unwrap_or(next)]));
            }
            section = Some(next);
            continue;
        }
        if line.starts_with("//") || line.starts_with('#') {
            continue;
        }
        let Some((name, _)) = line.split_once(':') else { continue };
        let Some(section) = section else {
            return Some(format!("`{name}` stands before any section"));
        };
        let (name, is_out) = (name.trim(), section == 2);
        if name.ends_with("out") != is_out {
            let section = SECTIONS[section];
            return Some(format!("`{name}` stands in the section `{section}`: what a kernel writes ends in `out`"));
        }
    }
    None
}

/// Names and parameters of the kernels of a file.
fn kernels(source: &str) -> Vec<(&str, &str)> {
    let mut found = Vec::new();
    for part in source.split("#[cube(launch").skip(1) {
        let start = part.find("fn ").expect("a function follows the attribute") + 3;
        let open = start + part[start..].find('(').expect("a function has parameters");
        let close = open + part[open..].find("\n) ").or_else(|| part[open..].find(')')).expect("parameters end");
        let name = part[start..open].split('<').next().unwrap_or_default();
        found.push((name, &part[open + 1..close]));
    }
    found
}

#[test]
fn kernel_parameters_stand_in_their_sections() {
    let crates = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let (mut count, mut faults) = (0, Vec::new());
    for path in sources(&crates) {
        let source = fs::read_to_string(&path).expect("a readable file");
        for (name, parameters) in kernels(&source) {
            count += 1;
            faults.extend(fault(parameters).map(|fault| format!("{}: {name}: {fault}", path.display())));
        }
    }
    assert!(count > 15, "{count} kernels found: the search is broken");
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn faults_are_found() {
    assert_eq!(fault("// sizes\nn: usize,\n// in\nx: &[f32],\n// out\ny_out: &mut [f32],"), None);
    assert_eq!(fault("// in\nstate: &mut [f32],\n// out\nout: &mut [f32],"), None);
    for (parameters, expected) in [
        ("x: &[f32],", "before any section"),
        ("// in\nx: &[f32],\n// sizes\nn: usize,", "stands behind"),
        ("// in\nx: &[f32],\n// out\ny: &mut [f32],", "`y`"),
        ("// in\nx_out: &mut [f32],", "`x_out`"),
    ] {
        let found = fault(parameters).expect("a fault");
        assert!(found.contains(expected), "{found}");
    }
}
