//! `worker bench`: how fast this machine trains, for people or as JSON.

use std::io::Write;
use std::process::ExitCode;

use engine::speed::vectors;
use serde_json::{Value as Json, json};
use worker::bench::{Kernel, Pass, Scaling, Timing, cases, kernels, peak, scaling, time_runs};
use worker::platform::auto_slots;

use super::args::Bench;
use super::exit::Exit;

pub(crate) fn run(arguments: &Bench) -> ExitCode {
    let peak = peak();
    let report = |what: &str| {
        if !arguments.json {
            eprintln!("measuring: {what}");
        }
    };
    report("kernels");
    let kernels: Vec<Kernel> = kernels().collect();
    let cases = cases();
    let measured = time_runs(&cases, arguments.rounds, report).and_then(|runs| {
        report("all cores at once");
        Ok((runs, scaling(&cases[0], auto_slots(), arguments.rounds)?))
    });
    let (runs, scaling) = match measured {
        Ok(measured) => measured,
        Err(error) => {
            eprintln!("error: {error}");
            return Exit::Failure.into();
        }
    };
    let text = if arguments.json {
        format!("{}\n", to_json(peak, &kernels, &runs, scaling))
    } else {
        table(peak, &kernels, &runs, scaling)
    };
    match std::io::stdout().write_all(text.as_bytes()) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => {
            eprintln!("error: cannot write the result: {error}");
            Exit::Failure.into()
        }
        _ => Exit::Success.into(),
    }
}

fn table(peak: f64, kernels: &[Kernel], runs: &[Timing], scaling: Scaling) -> String {
    let mut text = format!(
        "{} · {} · {} {} · a core's peak {:.0} GFLOP/s in f32\n\n",
        std::env::consts::ARCH,
        vectors(),
        auto_slots(),
        if auto_slots() == 1 { "core" } else { "cores" },
        giga(peak),
    );
    text.push_str("LSTM, 50 points: GFLOP/s and fraction of the peak\n   H  batch        forward       backward\n");
    let pass = |pass: Pass| format!("{:.1} ({:.2})", giga(pass.flops_per_s), pass.fraction_of_peak);
    for kernel in kernels {
        let (forward, backward) = (pass(kernel.forward), pass(kernel.backward));
        text.push_str(&format!("{:4}  {:5}  {forward:>13}  {backward:>13}\n", kernel.hidden, kernel.batch));
    }
    for group in runs.chunk_by(|a, b| a.case.group == b.case.group) {
        let header = "runs/s  simulate s  train s  x adam  GFLOP/s (of peak)";
        text.push_str(&format!("\n{}\n{:32}{header}\n", group[0].case.group, " optimizer"));
        for run in group {
            let speed = run.flops_per_s.zip(run.fraction_of_peak);
            let speed = speed.map_or("-".into(), |(flops, share)| format!("{:.1} ({share:.2})", giga(flops)));
            text.push_str(&format!(
                " {:30} {:7.2} {:11.4} {:8.4} {:7.2} {speed:>18}\n",
                run.case.name,
                1.0 / run.run_s,
                run.simulate_s,
                run.train_s,
                run.train_ratio,
            ));
        }
    }
    let Scaling { slots, peak_ratio, runs_ratio, share, runs_per_s: [one, all] } = scaling;
    text.push_str(&format!(
        "\n{} at once, over one of them\n multiply-adds  {peak_ratio:.3} x\n {:13}  {runs_ratio:.3} x: {share:.3} of what \
         the cores give, {all:.2} runs/s for {one:.2}\n",
        if slots == 1 { "1 slot".into() } else { format!("{slots} slots") },
        format!("{}, {}", runs[0].case.group, runs[0].case.name),
    ));
    text
}

fn to_json(peak: f64, kernels: &[Kernel], runs: &[Timing], scaling: Scaling) -> Json {
    let pass = |pass: Pass| json!({"gflops": giga(pass.flops_per_s), "fraction_of_peak": pass.fraction_of_peak});
    let kernels = kernels.iter().map(|kernel| {
        json!({
            "hidden": kernel.hidden,
            "batch": kernel.batch,
            "forward": pass(kernel.forward),
            "backward": pass(kernel.backward),
        })
    });
    let runs = runs.iter().map(|run| {
        json!({
            "group": run.case.group,
            "optimizer": run.case.name,
            "runs_per_s": 1.0 / run.run_s,
            "simulate_s": run.simulate_s,
            "train_s": run.train_s,
            "train_ratio_to_adam": run.train_ratio,
            "gflops": run.flops_per_s.map(giga),
            "fraction_of_peak": run.fraction_of_peak,
            "config": run.case.config.to_json(),
        })
    });
    json!({
        "arch": std::env::consts::ARCH,
        "vectors": vectors(),
        "cores": auto_slots(),
        "peak_gflops": giga(peak),
        "kernels": kernels.collect::<Vec<_>>(),
        "runs": runs.collect::<Vec<_>>(),
        "scaling": {
            "slots": scaling.slots,
            "peak_ratio": scaling.peak_ratio,
            "runs_ratio": scaling.runs_ratio,
            "share": scaling.share,
            "runs_per_s_one_slot": scaling.runs_per_s[0],
            "runs_per_s": scaling.runs_per_s[1],
        },
    })
}

fn giga(flops_per_s: f64) -> f64 {
    flops_per_s / 1e9
}

#[cfg(test)]
mod tests {
    use super::*;

    const SCALING: Scaling =
        Scaling { slots: 2, peak_ratio: 2.0, runs_ratio: 1.875, share: 0.9375, runs_per_s: [4.0, 7.5] };

    fn measured() -> (Vec<Kernel>, Vec<Timing>) {
        let pass = |share: f64| Pass { flops_per_s: share * 1e11, fraction_of_peak: share };
        let kernel = Kernel { hidden: 8, batch: 1024, forward: pass(0.5), backward: pass(0.625) };
        let timing = |place: usize, ratio: f64, flops_per_s: Option<f64>| Timing {
            case: cases()[place].clone(),
            run_s: 0.25,
            simulate_s: 0.0125,
            train_s: 0.125,
            train_ratio: ratio,
            flops_per_s,
            fraction_of_peak: flops_per_s.map(|flops| flops * 1e-11),
        };
        (vec![kernel], vec![timing(0, 1.0, Some(5e10)), timing(2, 0.5, None)])
    }

    #[test]
    fn the_table_is_in_columns() {
        let (kernels, runs) = measured();
        let text = table(1e11, &kernels, &runs, SCALING);
        let (head, tables) = text.split_once('\n').unwrap();
        assert!(head.ends_with("a core's peak 100 GFLOP/s in f32"), "{head}");
        let expected = "
LSTM, 50 points: GFLOP/s and fraction of the peak
   H  batch        forward       backward
   8   1024    50.0 (0.50)    62.5 (0.62)

paper
 optimizer                      runs/s  simulate s  train s  x adam  GFLOP/s (of peak)
 adam                              4.00      0.0125   0.1250    1.00        50.0 (0.50)
 kfac, head                        4.00      0.0125   0.1250    0.50                  -

2 slots at once, over one of them
 multiply-adds  2.000 x
 paper, adam    1.875 x: 0.938 of what the cores give, 7.50 runs/s for 4.00
";
        assert_eq!(tables, expected);
    }

    #[test]
    fn the_json_has_every_figure() {
        let (kernels, runs) = measured();
        let json = to_json(1e11, &kernels, &runs, SCALING);
        assert_eq!(json["peak_gflops"], 100.0);
        assert_eq!(json["kernels"][0]["backward"], json!({"gflops": 62.5, "fraction_of_peak": 0.625}));
        let scaling = &json["scaling"];
        assert_eq!((&scaling["slots"], &scaling["peak_ratio"]), (&json!(2), &json!(2.0)));
        assert_eq!((&scaling["runs_ratio"], &scaling["share"]), (&json!(1.875), &json!(0.9375)));
        assert_eq!((&scaling["runs_per_s_one_slot"], &scaling["runs_per_s"]), (&json!(4.0), &json!(7.5)));
        let run = &json["runs"][1];
        assert_eq!((&run["optimizer"], &run["train_ratio_to_adam"]), (&json!("kfac, head"), &json!(0.5)));
        assert_eq!((&run["runs_per_s"], &run["gflops"]), (&json!(4.0), &Json::Null));
        assert_eq!(run["config"]["optimizer"]["kind"], "kfac");
    }
}
