"""Programs of two or more commits, measured in turn: the speed of each beside that of the first.

    python benches/in_turn.py steps --env CarGoal1 --threads 2 OLD/steps_on_demand NEW/steps_on_demand
    python benches/in_turn.py loop --env CarGoal1 --threads 2 OLD/trainer NEW/trainer --set-of 1 SETTINGS...
    python benches/in_turn.py runs --env PointPush1 --threads 2 OLD/trainer NEW/trainer --set-of 1 SETTINGS...

`steps` keeps all programs running, 1,024 environments in each, and lets them step in turn, a few milliseconds each: even a
machine that is shared treats neighbours in time alike. The program is built with
`cargo build --release -p envs --example steps_on_demand`; for an older commit its one file (benches/steps_on_demand.rs) is copied
to `crates/envs/examples` there.

`loop` runs `PROGRAM bench train` in turn, whole processes: as many iterations as fit into its time. `runs` trains for a number of steps,
with another seed in each round: where a step takes longer the more a policy has learned (it pushes a box), a program that is
faster gets further in a given time, and would look slower. `--set-of I SETTINGS` are settings for program I (counted from 0)
alone, so that a newer program can be given an older one's.

The order is turned round from each round to the next. Printed, per program: the median of the rounds' ratios to the first program,
the ratio of the medians, and the median speed.
"""

import argparse
import json
import os
import statistics
import subprocess
import tempfile


class Stepper:
    """A program that steps environments on demand."""

    def __init__(self, program, arguments):
        environment = dict(os.environ, RAYON_NUM_THREADS=str(arguments.threads))
        command = [program, arguments.env, str(arguments.num_envs)]
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
        self.process = subprocess.Popen(command, text=True, env=environment, **pipes)
        self.steps, self.num_envs = arguments.steps, arguments.num_envs
        self.turn(300)

    def turn(self, steps):
        self.process.stdin.write(f"{steps}\n")
        self.process.stdin.flush()
        return int(self.process.stdout.readline())

    def speed(self, _number):
        """Environment steps per second in one turn."""
        return 1e9 * self.steps * self.num_envs / self.turn(self.steps)


class Loop:
    """A program whose training loop is measured anew in every turn."""

    def __init__(self, program, arguments, settings):
        self.command = [program, "bench", "train", "--json", "--env", arguments.env, "--threads", str(arguments.threads)]
        self.command += [f"--set={setting}" for setting in settings]

    def speed(self, _number):
        """Environment steps per second of the whole loop."""
        done = subprocess.run(self.command, check=True, capture_output=True, text=True)
        return json.loads(done.stdout)["steps_per_s"]


class Run:
    """A program that trains from the start in every turn."""

    def __init__(self, program, arguments, settings):
        self.command = [program, "train", "--env", arguments.env, "--threads", str(arguments.threads)]
        self.command += ["--total-steps", str(arguments.total_steps), *(f"--set={setting}" for setting in settings)]

    def speed(self, number):
        """Environment steps per second of a run of the seed `number`, as its summary has it."""
        with tempfile.TemporaryDirectory() as folder:
            out = os.path.join(folder, "run")
            subprocess.run([*self.command, "--seed", str(number), "--out", out], check=True, capture_output=True)
            with open(os.path.join(out, "summary.json"), encoding="utf-8") as summary:
                return json.load(summary)["steps_per_s"]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["steps", "loop", "runs"])
    parser.add_argument("programs", nargs="+", metavar="PROGRAM")
    parser.add_argument("--env", default="PointGoal1")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, help="150 of steps, 7 of training unless said")
    parser.add_argument("--num-envs", type=int, default=1024, help="of `steps`")
    parser.add_argument("--steps", type=int, default=25, help="steps of all environments in a turn")
    parser.add_argument("--total-steps", type=int, default=500_000, help="of `runs`")
    parser.add_argument("--set-of", nargs="+", action="append", default=[], metavar=("I", "SETTING"))
    arguments = parser.parse_args()

    if arguments.what == "steps":
        if arguments.set_of:
            parser.error("--set-of is for training")
        runners = [Stepper(program, arguments) for program in arguments.programs]
    else:
        settings = {int(index): rest for index, *rest in arguments.set_of}
        kind = Loop if arguments.what == "loop" else Run
        runners = [kind(program, arguments, settings.get(i, [])) for i, program in enumerate(arguments.programs)]
    rounds = arguments.rounds or (150 if arguments.what == "steps" else 7)
    speeds = [[] for _ in runners]
    for number in range(rounds):
        order = list(enumerate(runners))
        for i, runner in order if number % 2 == 0 else order[::-1]:
            speeds[i].append(runner.speed(number))
    first = speeds[0]
    print(f"{arguments.what} of {arguments.env}, {arguments.threads} threads, {rounds} rounds in turn")
    for program, own in zip(arguments.programs, speeds):
        ratio = statistics.median(x / y for x, y in zip(own, first))
        medians = statistics.median(own) / statistics.median(first)
        print(f"{program}: ratio {ratio:.3f}, of the medians {medians:.3f}, {statistics.median(own):,.0f} steps/s")


if __name__ == "__main__":
    main()
