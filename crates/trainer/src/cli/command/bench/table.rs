//! What was measured beside what is possible, part by part.

use serde_json::{Value, json};

use super::peaks::Peaks;
use super::work::Work;

/// A part of what was measured.
pub struct Part {
    name: String,
    seconds: f64,
    /// What it costs at the least.
    pub work: Work,
}

impl Part {
    /// A part that took so long.
    pub fn new(name: &str, seconds: f64, work: Work) -> Self {
        Self { name: name.to_owned(), seconds, work }
    }
}

struct Row {
    part: Part,
    floor_s: f64,
}

/// Parts with their floors; the last one is the whole.
pub struct Table {
    rows: Vec<Row>,
}

impl Table {
    /// Compares the parts with the peaks. The floor of a whole is the sum of its parts' floors.
    pub fn new(parts: Vec<Part>, peaks: &Peaks) -> Self {
        let mut rows: Vec<Row> =
            parts.into_iter().map(|part| Row { floor_s: peaks.floor_s(&part.work), part }).collect();
        if let Some((whole, parts)) = rows.split_last_mut().filter(|(_, parts)| !parts.is_empty()) {
            whole.floor_s = parts.iter().map(|row| row.floor_s).sum();
        }
        Self { rows }
    }

    /// Adds the whole's share and every part to a row of results.
    pub fn add_to(&self, result: &mut Value) {
        result["peak_share"] = json!(self.rows.last().map(Row::share));
        let part = |row: &Row| {
            json!({
                "part": row.part.name,
                "ms": 1e3 * row.part.seconds,
                "flop": row.part.work.operations,
                "bytes": row.part.work.bytes,
                "floor_ms": 1e3 * row.floor_s,
                "peak_share": row.share(),
            })
        };
        result["parts"] = self.rows.iter().map(part).collect();
    }

    /// As lines.
    pub fn text(&self) -> String {
        let mut text = format!(
            "{:<12}{:>10}{:>10}{:>10}{:>10}{:>9}{:>11}{:>9}",
            "", "ms", "MFLOP", "GFLOP/s", "MB", "GB/s", "floor, ms", "share"
        );
        for Row { part, floor_s } in &self.rows {
            let Work { operations, bytes, .. } = part.work;
            text.push_str(&format!(
                "\n{:<12}{:>10.3}{:>10.1}{:>10.1}{:>10.2}{:>9.2}{:>11.3}{:>7.0} %",
                part.name,
                1e3 * part.seconds,
                operations / 1e6,
                operations / part.seconds / 1e9,
                bytes / 1e6,
                bytes / part.seconds / 1e9,
                1e3 * floor_s,
                100.0 * floor_s / part.seconds,
            ));
        }
        text
    }
}

impl Row {
    fn share(&self) -> f64 {
        self.floor_s / self.part.seconds
    }
}
