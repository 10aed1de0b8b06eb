"""τ as one number of a run, with and without one, alone and in ensembles."""

import pytest

from orthontk.loggers.tau_summary import tau_summary


def directory(path, metrics, replicas=None, max_steps="50"):
    (path / "config.yaml").write_text(f"trainer: {{max_steps: {max_steps}, max_epochs: 3}}\n")
    (path / "metrics.csv").write_text(metrics)
    if replicas:
        (path / "replicas.csv").write_text(replicas)
    return path


def test_a_single_run(tmp_path):
    """One split reached, one censored by a divergence at step 9: the bound is what the run was given, not step 9."""
    metrics = "step,train/loss,train/tau,train/censored,test/censored\n0,2.3,,,\n4,,4.0,0.0,\n9,nan,,,1.0\n"
    assert tau_summary(directory(tmp_path, metrics)) == {"train/tau_at_least": 4, "test/tau_at_least": 50}


def test_a_run_without_the_callback_has_none(tmp_path):
    assert tau_summary(directory(tmp_path, "step,train/loss\n0,2.3\n")) == {}


@pytest.mark.parametrize("max_steps", ["null", "50"])
def test_epochs_that_end_first_are_the_bound(tmp_path, max_steps):
    metrics = "step,train/tau,train/censored,test/censored\n4,4.0,0.0,\n9,,,1.0\n"
    assert tau_summary(directory(tmp_path, metrics, max_steps=max_steps)) == {
        "train/tau_at_least": 4,
        "test/tau_at_least": 9,
    }


def test_a_divergence_is_bounded_by_max_steps_alone(tmp_path):
    metrics = "step,train/loss,train/censored\n9,nan,1.0\n"
    assert tau_summary(directory(tmp_path, metrics, max_steps="null")) == {}


HEAD = "seed,init,learning_rate,status,steps,train/tau,train/censored\n"


def test_seeds_of_one_kind_have_plain_names(tmp_path):
    replicas = HEAD + "0,gaussian,0.1,finished,9,5,0\n1,gaussian,0.1,finished,50,,1\n2,gaussian,0.1,stopped,9,8,0\n"
    summary = tau_summary(directory(tmp_path, "step\n", replicas))
    assert summary == {
        "train/tau": 6.5,
        "train/censored": pytest.approx(1 / 3),
        "train/tau_at_least": pytest.approx((5 + 50 + 8) / 3),
    }


def test_several_kinds_are_told_apart(tmp_path):
    replicas = HEAD + "0,gaussian,0.1,finished,50,,1\n0,orthogonal,0.1,stopped,9,8,0\n"
    summary = tau_summary(directory(tmp_path, "step\n", replicas))
    assert summary["train/tau/orthogonal/lr0.1"] == 8 and summary["train/tau_at_least/gaussian/lr0.1"] == 50
    assert "train/tau/gaussian/lr0.1" not in summary and summary["train/censored/gaussian/lr0.1"] == 1
