using RawDiffusion.Backends;
using RawDiffusion.Diffusion.Training.Configuration;
using RawDiffusion.IO;
using RawDiffusion.Nn;
using RawDiffusion.Optim;

namespace RawDiffusion.Diffusion.Training;

/// <summary>
/// All that changes while a network is trained, and so all that a checkpoint holds: <c>model/</c> (the weights), <c>ema/</c> (their
/// moving average, which samples are made with), <c>optimizer.safetensors</c> and <c>state.json</c>. Whoever loads it goes on to the
/// same bits as if training had never stopped.
/// </summary>
public sealed class TrainingState(Module model, WeightFiles files, Optimizer optimizer, Ema? ema, params IReadOnlyList<(string Name, Generator Generator)> generators)
{
    /// <summary>The file that makes a folder a checkpoint: it is written last.</summary>
    public const string FileName = "state.json";

    private const string ModelFolder = "model", EmaFolder = "ema", OptimizerFile = "optimizer.safetensors";

    /// <summary>The beginning of a training with the optimizer and the average that its settings ask for.</summary>
    /// <param name="generators">All that random numbers are drawn from in a step.</param>
    public static TrainingState New(Module model, WeightFiles files, TrainingConfig training, params IReadOnlyList<(string Name, Generator Generator)> generators) => new(
        model, files, new AdamW(model, training.LearningRate, training.Beta1, training.Beta2, weightDecay: training.WeightDecay),
        training.EmaDecay is { } decay ? new Ema(model, decay, training.EmaWarmup) : null, generators);

    public Module Model { get; } = model;

    public Optimizer Optimizer { get; } = optimizer;

    public Ema? Ema { get; } = ema;

    /// <summary>All that random numbers are drawn from in a step.</summary>
    public IReadOnlyList<(string Name, Generator Generator)> Generators { get; } = generators;

    /// <summary>Optimizer steps made so far.</summary>
    public int Step { get; internal set; }

    /// <summary>Samples seen so far: the batch of the next step begins here.</summary>
    public long Samples { get; internal set; }

    /// <summary>Time spent in training, in seconds.</summary>
    public double Seconds { get; internal set; }

    /// <summary>The sum of the losses of <see cref="LossCount"/> steps since the last line of the log.</summary>
    internal double LossSum { get; set; }

    internal int LossCount { get; set; }

    /// <summary>The mean loss that was logged last; null before the first.</summary>
    public double? LoggedLoss { get; internal set; }

    /// <summary>Writes everything into an empty folder.</summary>
    public void Save(string folder)
    {
        files.Save(Path.Combine(folder, ModelFolder));
        if (Ema is not null)
        {
            using (Ema.Use())
                files.Save(Path.Combine(folder, EmaFolder));
        }
        Safetensors.Save(Path.Combine(folder, OptimizerFile), Optimizer.StateDict().Select(tensor => (tensor.Key, tensor.Value)));
        StrictJson.WriteFile(Path.Combine(folder, FileName), new Saved
        {
            Step = Step,
            Samples = Samples,
            Seconds = Seconds,
            LossSum = LossSum,
            LossCount = LossCount,
            LoggedLoss = LoggedLoss,
            EmaSteps = Ema?.StepCount,
            Generators = Generators.ToDictionary(g => g.Name, g => g.Generator.Offset),
        });
    }

    /// <summary>Takes over everything from a folder.</summary>
    /// <exception cref="FileFormatException">A file is damaged or belongs to another network; the message names it.</exception>
    /// <exception cref="IOException">A file is missing.</exception>
    public void Load(string folder)
    {
        string path = Path.Combine(folder, FileName);
        var saved = ReadSaved(path);
        if (saved.EmaSteps is null != Ema is null)
            throw new FileFormatException(path, $"it was saved {(saved.EmaSteps is null ? "without" : "with")} a moving average of the weights");
        if (Ema is not null)
        {
            files.Load(Path.Combine(folder, EmaFolder));
            var average = Model.StateDict().ToDictionary(tensor => $"ema.{tensor.Key}", tensor => tensor.Value);
            average.Add("step", Tensor.From([saved.EmaSteps!.Value], Shape.Scalar));
            Ema.LoadStateDict(average);
        }
        files.Load(Path.Combine(folder, ModelFolder));
        ReadTensors(Path.Combine(folder, OptimizerFile), Model.Parameters()[0].Device, Optimizer.LoadStateDict);
        if (Optimizer.StepCount != saved.Step)
            throw new FileFormatException(path, $"it is of step {saved.Step}, but {OptimizerFile} is of step {Optimizer.StepCount}");
        foreach (var (name, generator) in Generators)
        {
            generator.Offset = saved.Generators.TryGetValue(name, out ulong offset)
                ? offset
                : throw new FileFormatException(path, $"it does not say how far the random numbers of '{name}' were used");
        }
        (Step, Samples, Seconds) = (saved.Step, saved.Samples, saved.Seconds);
        (LossSum, LossCount, LoggedLoss) = (saved.LossSum, saved.LossCount, saved.LoggedLoss);
    }

    /// <summary>Takes over only what samples are made with: the moving average where there is one, else the weights.</summary>
    /// <returns>The step of the checkpoint.</returns>
    /// <inheritdoc cref="Load"/>
    public static int LoadForSampling(string folder, WeightFiles files)
    {
        var saved = ReadSaved(Path.Combine(folder, FileName));
        files.Load(Path.Combine(folder, saved.EmaSteps is null ? ModelFolder : EmaFolder));
        return saved.Step;
    }

    private static Saved ReadSaved(string path)
    {
        var saved = StrictJson.Read<Saved>(path);
        return saved.Step < 0 || saved.Samples < 0 || saved.LossCount < 0 || !(saved.Seconds >= 0)
            ? throw new FileFormatException(path, "it counts below zero")
            : saved;
    }

    /// <summary>Whether all weights are finite.</summary>
    public bool IsFinite()
    {
        using var noGrad = new NoGrad();
        using var scope = new MemoryScope();
        // 0 * x is 0 for every finite x, and NaN else.
        return Model.Parameters().All(parameter => (parameter.Detach() * 0).Sum().Item() == 0);
    }

    /// <summary>Reads all tensors of a file and hands them over; that they do not fit is the file's fault.</summary>
    internal static void ReadTensors(string path, Backend device, Action<IReadOnlyDictionary<string, Tensor>> takeOver)
    {
        using var scope = new MemoryScope();
        using var file = Safetensors.Load(path);
        try
        {
            takeOver(file.Entries.ToDictionary(entry => entry.Name, entry => file.Read(entry.Name, device)));
        }
        catch (ArgumentException e)
        {
            throw new FileFormatException(path, e.Message, e);
        }
    }

    /// <summary>What <see cref="FileName"/> holds.</summary>
    private sealed record Saved
    {
        public int Step { get; init; }

        public long Samples { get; init; }

        public double Seconds { get; init; }

        public double LossSum { get; init; }

        public int LossCount { get; init; }

        public double? LoggedLoss { get; init; }

        public int? EmaSteps { get; init; }

        /// <summary>How far each purpose's random numbers have been used.</summary>
        public IReadOnlyDictionary<string, ulong> Generators { get; init; } = new Dictionary<string, ulong>();
    }
}
