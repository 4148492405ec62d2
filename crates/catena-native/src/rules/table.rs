// Every rule: its function, its entry point in `cpp/`, its arguments, and how many lists of state it takes. `rules.rs` makes the Rust
// side of it, and `build.rs` a header for the C++ side. Both sides assert the arguments' layout.
rules! {
    /// `torch.optim.SGD(fused=True)`: libtorch's kernel. State: `momentum_buffer` if that argument says so; without one
    /// `momentum` must be 0.
    sgd catena_sgd SgdArguments {
        lr: f64, momentum: f64, dampening: f64, weight_decay: f64, nesterov: bool, maximize: bool, momentum_buffer: bool,
    } |a| usize::from(a.momentum_buffer || a.momentum != 0.0);

    /// `torch.optim.Adam(fused=True)`, or `AdamW` with `decoupled_weight_decay`: libtorch's kernels. State: `step`,
    /// `exp_avg`, `exp_avg_sq`, `max_exp_avg_sq` if amsgrad.
    adam catena_adam AdamArguments {
        lr: f64, beta1: f64, beta2: f64, eps: f64, weight_decay: f64, amsgrad: bool, maximize: bool,
        decoupled_weight_decay: bool,
    } |a| 3 + usize::from(a.amsgrad);

    /// `torch.optim.RAdam`. State: `step`, `exp_avg`, `exp_avg_sq`.
    radam catena_radam RAdamArguments {
        lr: f64, beta1: f64, beta2: f64, eps: f64, weight_decay: f64, decoupled_weight_decay: bool, maximize: bool,
    } |_| 3;

    /// `torch.optim.NAdam`. State: `step`, `mu_product`, `exp_avg`, `exp_avg_sq`.
    nadam catena_nadam NAdamArguments {
        lr: f64, beta1: f64, beta2: f64, eps: f64, weight_decay: f64, momentum_decay: f64,
        decoupled_weight_decay: bool, maximize: bool,
    } |_| 4;

    /// `torch.optim.Adamax`. State: `step`, `exp_avg`, `exp_inf`.
    adamax catena_adamax AdamaxArguments {
        lr: f64, beta1: f64, beta2: f64, eps: f64, weight_decay: f64, maximize: bool,
    } |_| 3;

    /// `torch.optim.Adagrad(fused=True)`: libtorch's kernel. State: `step`, `sum`.
    adagrad catena_adagrad AdagradArguments {
        lr: f64, lr_decay: f64, weight_decay: f64, initial_accumulator_value: f64, eps: f64, maximize: bool,
    } |_| 2;

    /// `torch.optim.Adadelta`. State: `step`, `square_avg`, `acc_delta`.
    adadelta catena_adadelta AdadeltaArguments {
        lr: f64, rho: f64, eps: f64, weight_decay: f64, maximize: bool,
    } |_| 3;

    /// `torch.optim.RMSprop`. State: `step`, `square_avg`, `momentum_buffer` if that argument says so, `grad_avg` if
    /// centered.
    rmsprop catena_rmsprop RMSpropArguments {
        lr: f64, alpha: f64, eps: f64, weight_decay: f64, momentum: f64, centered: bool, maximize: bool,
        momentum_buffer: bool,
    } |a| 2 + usize::from(a.momentum_buffer) + usize::from(a.centered);

    /// `torch.optim.Rprop`. State: `step`, `prev`, `step_size`.
    rprop catena_rprop RpropArguments {
        lr: f64, etaminus: f64, etaplus: f64, step_size_min: f64, step_size_max: f64, maximize: bool,
    } |_| 3;

    /// `torch.optim.ASGD`. State: `step`, `eta`, `mu`, `ax`.
    asgd catena_asgd AsgdArguments {
        lr: f64, lambd: f64, alpha: f64, t0: f64, weight_decay: f64, maximize: bool,
    } |_| 4;

    /// Lion (Chen et al. 2023). State: `exp_avg`.
    lion catena_lion LionArguments {
        lr: f64, beta1: f64, beta2: f64, weight_decay: f64, maximize: bool,
    } |_| 1;

    /// LAMB (You et al. 2020). State: `step`, `exp_avg`, `exp_avg_sq`.
    lamb catena_lamb LambArguments {
        lr: f64, beta1: f64, beta2: f64, eps: f64, weight_decay: f64, maximize: bool,
    } |_| 3;

    /// `torch.optim.Adafactor`. State: `step`, `row_var` and `col_var` (read from two dimensions on), `variance` (read
    /// below). `eps1` below 0 stands for the dtype's epsilon.
    adafactor catena_adafactor AdafactorArguments {
        lr: f64, beta2_decay: f64, eps1: f64, eps2: f64, d: f64, weight_decay: f64, maximize: bool,
    } |_| 4;

    /// `torch.optim.Muon`. State: `momentum_buffer`. Parameters of other than two dimensions are an error.
    muon catena_muon MuonArguments {
        lr: f64, weight_decay: f64, momentum: f64, ns_a: f64, ns_b: f64, ns_c: f64, eps: f64,
        ns_steps: i64, nesterov: bool, match_rms_adamw: bool,
    } |_| 1;
}
