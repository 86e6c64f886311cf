//! The compiled pairs: from the kinds of an agent and a task to a function over their types.
//!
//! The macro asks the tables of agents and tasks for their rows, so that a new row is compiled everywhere.

/// `f::<Agent, Task>` of an agent's and a task's kind, with further types behind them where given.
macro_rules! for_kind {
    (@function ($($f:ident)::+) $agent:ident $task:ident ($($more:ty),*)) => {
        $($f)::+::<$crate::agent::$agent, $crate::task::$task $(, $more)*>
    };
    ((@tasks $agent:ident ($kind:expr) $f:tt $more:tt) $($(#[$doc:meta])+ $task:ident,)+) => {
        match $kind { $($crate::task::TaskKind::$task => for_kind!(@function $f $agent $task $more),)+ }
    };
    ((@agents ($kind:expr) $task:tt $f:tt $more:tt) $($(#[$doc:meta])+ $agent:ident,)+) => {
        match $kind {
            $($crate::agent::AgentKind::$agent => {
                $crate::task::tasks!(for_kind! (@tasks $agent $task $f $more))
            })+
        }
    };
    ($agent:expr, $task:expr, $($f:ident)::+ $(, $more:ty)*) => {
        $crate::agent::agents!(for_kind! (@agents ($agent) ($task) ($($f)::+) ($($more),*)))
    };
}
pub(crate) use for_kind;
