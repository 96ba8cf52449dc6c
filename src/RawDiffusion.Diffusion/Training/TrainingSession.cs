using System.Diagnostics;
using RawDiffusion.Diffusion.Objectives;
using RawDiffusion.Diffusion.Training.Configuration;
using RawDiffusion.Diffusion.Training.Records;
using RawDiffusion.IO;
using RawDiffusion.Optim;

namespace RawDiffusion.Diffusion.Training;

/// <summary>
/// A training in the folder of a run: it goes on from the latest checkpoint there, or begins where there is none, and writes the log,
/// pictures of samples and checkpoints as it goes.
/// </summary>
internal sealed class TrainingSession
{
    private readonly RunFolder _folder;
    private readonly TrainingConfig _config;
    private readonly TrainingState _state;
    private readonly CheckpointFolder _checkpoints;
    private int _savedStep;

    /// <exception cref="FileFormatException">The latest checkpoint is damaged or of another network.</exception>
    public TrainingSession(RunFolder folder, TrainingConfig config, TrainingState state)
    {
        (_folder, _config, _state) = (folder, config, state);
        _checkpoints = new CheckpointFolder(folder.Path);
        _checkpoints.Sweep();
        if (_checkpoints.Latest is { } latest)
            state.Load(latest);
        _savedStep = state.Step;
        if (state.Step > config.Steps)
            throw new ConfigException("training.steps", $" must be at least {state.Step}, as many as are already made, not {config.Steps}");
    }

    /// <summary>From the start of the process to the end of the first step; null where this process did not make it.</summary>
    public double? SecondsToFirstStep { get; private set; }

    /// <summary>Trains until the end or until it is asked to stop, and saves what it came to.</summary>
    /// <param name="preview">Draws samples of the present model; null where there is nothing to see.</param>
    /// <param name="fused">See <see cref="Trainer.Fused"/>.</param>
    /// <exception cref="DivergedException">Something is not finite; the checkpoints are as they were.</exception>
    public TrainingEnd Train(
        BatchSource source, IRunReporter reporter, CancellationToken stop, Func<Image>? preview = null, FusedMlpTraining? fused = null)
    {
        using var log = new RunLog(_folder.Path, _state.Step);
        using var trainer = new Trainer(_state, _config, source)
        {
            Fused = fused,
            Log = line =>
            {
                if (line.Step == 1)
                    SecondsToFirstStep = (DateTime.Now - Process.GetCurrentProcess().StartTime).TotalSeconds;
                log.Write(line);
            },
            Sample = preview is null ? null : () =>
            {
                var picture = preview();
                picture.Save(_folder.Picture(_state.Step));
                log.WritePicture(_state.Step, picture);
                // A picture takes some large arrays, which the collector would let pile up to hundreds of megabytes; a collection takes
                // nothing beside the sampling.
                GC.Collect();
            },
            Checkpoint = Save,
        };
        try
        {
            var end = trainer.Run(reporter, "train", stop);
            if (_state.Step != _savedStep)
                Save();
            return end;
        }
        catch (DivergedException e)
        {
            string kept = _checkpoints.Latest is { } latest ? $"the last good checkpoint is {latest}" : "there is no checkpoint yet";
            throw new DivergedException(e, kept);
        }
    }

    private void Save()
    {
        if (!_state.IsFinite())
            throw new DivergedException(_state.Step, "the weights are not finite");
        _checkpoints.Save(_state.Step, _config.KeepCheckpoints, _state.Save);
        _savedStep = _state.Step;
    }
}
