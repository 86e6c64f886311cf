//! kfac
