using RawDiffusion.Diffusion.Objectives;
using RawDiffusion.Diffusion.Training;
using RawDiffusion.Diffusion.Training.Configuration;
using RawDiffusion.Diffusion.Training.Records;
using RawDiffusion.Nn;
using RawDiffusion.Optim;

namespace RawDiffusion.Tests.Diffusion.Training;

public class TrainerTests
{
    private const int Batch = 12;

    /// <summary>The parts draw nothing of their own, so only the order of the sums differs.</summary>
    [Theory]
    [InlineData(2)]
    [InlineData(3)]
    [InlineData(12)]
    public void Accumulated_parts_make_the_step_of_the_whole_batch(int parts)
    {
        var whole = Train(new TrainingConfig { Steps = 5, Batch = Batch, Warmup = 0 });
        var accumulated = Train(new TrainingConfig { Steps = 5, Batch = Batch, Warmup = 0, Accumulate = parts });

        // Gradients agree to the rounding of float64 sums; Adam divides them by their own size, which keeps the relative error.
        foreach (var (a, b) in whole.Weights().Zip(accumulated.Weights()))
            Assert.Equal(a, b, 1e-9);
        foreach (var (a, b) in whole.Lines.Zip(accumulated.Lines))
            Assert.Equal(a.Loss, b.Loss, 1e-9);
    }

    [Fact]
    public void The_log_has_the_first_step_every_so_manyeth_and_the_last()
    {
        var trained = Train(new TrainingConfig { Steps = 11, Batch = Batch, LogEvery = 4, Warmup = 0 });
        Assert.Equal([1, 4, 8, 11], trained.Lines.Select(line => line.Step));
        Assert.Equal([12L, 48, 96, 132], trained.Lines.Select(line => line.Samples));
    }

    [Fact]
    public void A_line_has_the_mean_loss_since_the_one_before()
    {
        var every = Train(new TrainingConfig { Steps = 8, Batch = Batch, LogEvery = 1, Warmup = 0 });
        var fourth = Train(new TrainingConfig { Steps = 8, Batch = Batch, LogEvery = 4, Warmup = 0 });
        Assert.Equal(every.Lines.Skip(1).Take(3).Average(line => line.Loss), fourth.Lines[1].Loss, 1e-12);
        Assert.Equal(every.Lines.Skip(4).Average(line => line.Loss), fourth.Lines[2].Loss, 1e-12);
    }

    [Fact]
    public void The_learning_rate_warms_up_and_falls()
    {
        var lines = Train(new TrainingConfig { Steps = 100, Batch = Batch, LogEvery = 1, LearningRate = 0.1, Warmup = 50 }).Lines;
        // The warm-up is at most a tenth of all steps.
        Assert.Equal([0.01, 0.02, 0.1, 0.1], new[] { 0, 1, 9, 10 }.Select(i => Math.Round(lines[i].LearningRate, 4)));
        Assert.Equal(0, lines[^1].LearningRate);
    }

    [Fact]
    public void Overfitting_sees_the_same_batches_again_and_again()
    {
        var firsts = new List<long>();
        Train(new TrainingConfig { Steps = 7, Batch = Batch, OverfitBatches = 3 }, firsts);
        Assert.Equal([0L, 12, 24, 0, 12, 24, 0], firsts);
    }

    [Fact]
    public void The_time_limit_ends_it_as_if_all_steps_were_made()
    {
        var trained = Train(new TrainingConfig { Steps = int.MaxValue, Batch = Batch, TimeLimit = 1e-4 });
        Assert.Equal(TrainingEnd.TimeLimit, trained.End);
        Assert.True(trained.State.Step > 0);
        Assert.True(trained.State.Seconds >= 60 * 1e-4);
    }

    [Fact]
    public void Hooks_are_called_when_they_are_due_but_not_after_the_last_step()
    {
        var calls = new List<string>();
        var state = NewState();
        new Trainer(state, new TrainingConfig { Steps = 6, Batch = Batch, SampleEvery = 2, CheckpointEvery = 3 }, Source(state))
        {
            Sample = () => calls.Add($"sample {state.Step}"),
            Checkpoint = () => calls.Add($"checkpoint {state.Step}"),
        }.Run(SilentReporter.Instance, "train", default);
        Assert.Equal(["sample 2", "checkpoint 3", "sample 4"], calls);
    }

    [Fact]
    public void A_request_to_stop_is_met_after_the_step()
    {
        using var stop = new CancellationTokenSource();
        var state = NewState();
        var trainer = new Trainer(state, new TrainingConfig { Steps = 100, Batch = Batch }, (first, count) =>
        {
            if (state.Step == 4)
                stop.Cancel();
            return Source(state)(first, count);
        });
        Assert.Equal(TrainingEnd.Stopped, trainer.Run(SilentReporter.Instance, "train", stop.Token));
        Assert.Equal(5, state.Step);
    }

    [Fact]
    public void A_loss_that_is_not_finite_stops_before_it_reaches_the_weights()
    {
        var state = NewState();
        var trainer = new Trainer(state, new TrainingConfig { Steps = 100, Batch = Batch, Warmup = 0 }, (first, count) =>
            new LossOf(state, state.Step == 6 ? loss => loss + double.NaN : loss => loss));
        var error = Assert.Throws<DivergedException>(() => trainer.Run(SilentReporter.Instance, "train", default));

        Assert.Equal(7, error.Step);
        Assert.Contains("step 7: the loss is NaN; --detect-anomaly names the first operation", error.Message);
        Assert.Equal(6, state.Step);
        Assert.True(state.IsFinite());
    }

    [Fact]
    public void A_gradient_that_is_not_finite_stops_before_it_reaches_the_weights()
    {
        var state = NewState();
        // The loss is as before; the derivative of the square root at 0 is infinite, and 0 times that is NaN.
        var trainer = new Trainer(state, new TrainingConfig { Steps = 100, Batch = Batch }, (_, _) => new LossOf(state, loss => loss + ((loss * 0).Sqrt() * 0)));
        var error = Assert.Throws<DivergedException>(() => trainer.Run(SilentReporter.Instance, "train", default));

        Assert.Contains("step 1: the gradient is NaN", error.Message);
        Assert.True(state.IsFinite());
    }

    [Fact]
    public void Detecting_anomalies_names_the_planted_logarithm_of_zero()
    {
        var state = NewState();
        var trainer = new Trainer(state, new TrainingConfig { Steps = 100, Batch = Batch, DetectAnomaly = true }, (_, _) =>
            new LossOf(state, loss => state.Step == 2 ? (loss * 0).Log() : loss));
        var error = Assert.Throws<DivergedException>(() => trainer.Run(SilentReporter.Instance, "train", default));

        Assert.StartsWith("step 3: log forward: its result", error.Message);
        Assert.Equal("log", Assert.IsType<AnomalyException>(error.InnerException).Operation);
        Assert.False(AnomalyMode.IsEnabled);
    }

    [Fact]
    public void Detecting_anomalies_changes_no_bit()
    {
        var plain = Train(new TrainingConfig { Steps = 4, Batch = Batch });
        var watched = Train(new TrainingConfig { Steps = 4, Batch = Batch, DetectAnomaly = true });
        Assert.Equal(plain.Weights(), watched.Weights());
    }

    private static Trained Train(TrainingConfig config, List<long>? firsts = null)
    {
        var state = NewState();
        var lines = new List<LogLine>();
        var source = Source(state);
        var trainer = new Trainer(state, config, (first, count) =>
        {
            firsts?.Add(first);
            return source(first, count);
        })
        { Log = lines.Add };
        return new Trained(trainer.Run(SilentReporter.Instance, "train", default), state, lines);
    }

    private static TrainingState NewState()
    {
        var model = new Linear(3, 2, new Generator(1), device: Device.Reference);
        return new TrainingState(model, WeightFiles.Plain(model), new AdamW(model, 1e-3), new Ema(model));
    }

    private static BatchSource Source(TrainingState state) => (first, count) => new Squares((Linear)state.Model, first, count);

    private sealed record Trained(TrainingEnd End, TrainingState State, List<LogLine> Lines)
    {
        public double[] Weights() => [.. State.Model.Parameters().SelectMany(parameter => parameter.ToDoubleArray())];
    }

    /// <summary>A linear map learns to give the squares of random numbers.</summary>
    private sealed class Squares(Linear model, long first, int count) : TrainingBatch
    {
        private readonly Tensor _x = Tensor.Randn(new Generator(7, offset: (ulong)first), [count, 3], Device.Reference);

        public override IReadOnlyList<Tensor> Inputs => [_x];

        public override Tensor Loss(IReadOnlyList<Tensor> drawn) => F.MseLoss(model.Forward(drawn[0]), drawn[0].Square().Slice(1, 0, 2));
    }

    /// <summary>The same with something done to the loss.</summary>
    private sealed class LossOf(TrainingState state, Func<Tensor, Tensor> change) : TrainingBatch
    {
        private readonly Squares _squares = new((Linear)state.Model, 0, Batch);

        public override IReadOnlyList<Tensor> Inputs => _squares.Inputs;

        public override Tensor Loss(IReadOnlyList<Tensor> drawn) => change(_squares.Loss(drawn));
    }
}
