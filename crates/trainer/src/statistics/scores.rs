//! Scores of an algorithm over tasks and runs, and how two algorithms compare.

use super::bootstrap::stratified_interval;
use super::interquartile_mean;

/// Scores by task: those of the runs on it.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Scores(Vec<Vec<f64>>);

impl Scores {
    /// The scores of the runs of each task.
    pub fn new(tasks: Vec<Vec<f64>>) -> Self {
        Self(tasks)
    }

    /// All scores, whatever task they are of.
    fn all(&self) -> Vec<f64> {
        self.0.concat()
    }

    /// Number of runs.
    pub fn runs(&self) -> usize {
        self.0.iter().map(Vec::len).sum()
    }

    /// Mean of the middle half of all scores.
    pub fn interquartile_mean(&self) -> f64 {
        interquartile_mean(&self.all())
    }

    /// Its 95 % interval: a percentile bootstrap that resamples the runs of each task by themselves. NaN where there is
    /// nothing.
    pub fn interquartile_mean_interval(&self) -> (f64, f64) {
        let strata: Vec<&[f64]> = self.0.iter().map(Vec::as_slice).collect();
        stratified_interval(&strata, |resample| interquartile_mean(&resample.concat()))
    }

    /// The performance profile: the share of all runs whose score is above each of `thresholds`.
    pub fn profile(&self, thresholds: &[f64]) -> Vec<f64> {
        let all = self.all();
        let above = |threshold: &f64| all.iter().filter(|score| *score > threshold).count() as f64 / all.len() as f64;
        thresholds.iter().map(above).collect()
    }
}

/// How likely a run of `x` scores more than one of `y` on a task that is chosen at random; a tie counts half. Tasks are
/// paired by their order.
///
/// # References
///
/// Agarwal et al. 2021, section 4.3: the Mann-Whitney U statistic over the number of pairs, averaged over tasks.
pub fn probability_of_improvement(x: &Scores, y: &Scores) -> f64 {
    of_tasks(x.0.iter().zip(&y.0))
}

/// Its 95 % interval: a percentile bootstrap that resamples the runs of each algorithm and task by themselves.
pub fn probability_of_improvement_interval(x: &Scores, y: &Scores) -> (f64, f64) {
    let tasks = x.0.len().min(y.0.len());
    let strata: Vec<&[f64]> = x.0[..tasks].iter().chain(&y.0[..tasks]).map(Vec::as_slice).collect();
    stratified_interval(&strata, |resample| of_tasks(resample[..tasks].iter().zip(&resample[tasks..])))
}

fn of_tasks<'a>(tasks: impl Iterator<Item = (&'a Vec<f64>, &'a Vec<f64>)>) -> f64 {
    let (mut sum, mut count) = (0.0, 0);
    for (x, y) in tasks {
        sum += above(x, y);
        count += 1;
    }
    sum / f64::from(count)
}

/// Share of the pairs whose first is larger; ties count half.
fn above(x: &[f64], y: &[f64]) -> f64 {
    let one = |x: &f64, y: &f64| if x > y { 1.0 } else { f64::from(u8::from(x == y)) / 2.0 };
    let won: f64 = x.iter().map(|x| y.iter().map(|y| one(x, y)).sum::<f64>()).sum();
    won / (x.len() * y.len()) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_tables_by_hand() {
        let x = Scores::new(vec![vec![1.0, 3.0], vec![5.0, 5.0]]);
        let y = Scores::new(vec![vec![2.0, 0.0], vec![5.0, 6.0]]);
        // 1 beats 0; 3 beats both: 3 of 4. Two ties and two losses: 1 of 4.
        assert_eq!(probability_of_improvement(&x, &y), 0.5);
        assert_eq!(probability_of_improvement(&y, &x), 0.5);
        assert_eq!(probability_of_improvement(&x, &x), 0.5);
        assert_eq!(x.interquartile_mean(), 4.0); // of 1, 3, 5, 5 the middle two
        assert_eq!(x.profile(&[0.0, 1.0, 4.0, 5.0]), [1.0, 0.75, 0.5, 0.0]);
        assert_eq!(x.runs(), 4);
        let sure = Scores::new(vec![vec![9.0, 8.0]]);
        assert_eq!(probability_of_improvement_interval(&sure, &Scores::new(vec![vec![1.0]])), (1.0, 1.0));
        assert!(Scores::default().interquartile_mean_interval().0.is_nan());
        assert!(probability_of_improvement(&Scores::default(), &x).is_nan());
    }
}
