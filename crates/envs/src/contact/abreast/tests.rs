//! An environment that is solved beside others has the numbers of `solver.rs` contact by contact: those of kernels.

use crate::contact::grouped::tests::drive;
use crate::kinds::for_kind;
use crate::registry::find;

#[test]
fn environments_abreast_have_the_bits_of_kernels() {
    for id in ["PointPush1", "PointButton1"] {
        let spec = find(id).unwrap();
        let run = for_kind!(spec.agent, spec.level.task, drive);
        let apart = run(&spec);
        assert!(apart.len() > 150, "{id}: {} steps in contact", apart.len());
        let off = apart.iter().filter(|off| **off > 0.0).count();
        assert_eq!(off, 0, "{id}: {off} of {} steps, {:e} apart", apart.len(), apart[apart.len() - 1]);
    }
}
