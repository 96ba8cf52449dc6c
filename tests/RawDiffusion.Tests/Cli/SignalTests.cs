using RawDiffusion.Diffusion.Training.Configuration;
using RawDiffusion.Diffusion.Training.Records;
using RawDiffusion.Tests.Diffusion.Training;

namespace RawDiffusion.Tests.Cli;

/// <summary>A signal finishes the step, saves and says how to go on; a second one ends the process at once.</summary>
public sealed class SignalTests : IDisposable
{
    private readonly TemporaryFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    [SkippableTheory]
    [InlineData(CliProcess.Interrupt, 130)]
    [InlineData(CliProcess.Terminate, 143)]
    public void The_first_saves_what_no_stop_would_have_made(int signal, int exitCode)
    {
        RequireSignal(signal);
        var config = Endless(steps: 200_000);
        using var process = CliProcess.Start("train", "--config", Write(config), "--out", _folder["stopped"]);
        process.WaitForLine("train: 20000/200000");
        process.Signal(signal);
        var (code, _) = process.Finish();

        Assert.Equal(exitCode, code);
        string latest = Path.GetFileName(new CheckpointFolder(_folder["stopped"]).Latest!);
        int step = int.Parse(latest["step-".Length..]);
        Assert.InRange(step, 20_000, 199_999);
        Assert.Equal($"stopped after step {step}; to go on: rawdiffusion train --resume {_folder["stopped"]}", process.Output[^1]);
        Assert.False(File.Exists(_folder["stopped/metrics.json"]));

        TinyRun.Start(Endless(step), _folder["straight"]);
        foreach (string file in new[] { "model/model.safetensors", "ema/model.safetensors", "optimizer.safetensors" })
            Assert.Equal(File.ReadAllBytes(_folder[$"straight/checkpoints/{latest}/{file}"]), File.ReadAllBytes(_folder[$"stopped/checkpoints/{latest}/{file}"]));
    }

    [SkippableFact]
    public void The_second_does_not_wait_for_the_step()
    {
        RequireSignal(CliProcess.Interrupt);
        // A step of 300,000 samples takes more than half a second; after the line of the first, the second one is being made.
        using var process = CliProcess.Start("train", "eight-gaussians", "--steps", "10", "--batch", "300000", "--out", _folder["run"]);
        process.WaitForLine("train: 1/10");
        process.Signal(CliProcess.Interrupt);
        process.WaitForAnswer();
        process.Signal(CliProcess.Interrupt);
        var (code, _) = process.Finish();

        Assert.Equal(130, code);
        Assert.DoesNotContain(process.Output, line => line.StartsWith("stopped", StringComparison.Ordinal));
        Assert.Null(new CheckpointFolder(_folder["run"]).Latest);
    }

    /// <summary>A child takes over what its parent ignores, and nobody can be asked to answer a signal that is ignored.</summary>
    private static void RequireSignal(int signal)
    {
        Skip.If(OperatingSystem.IsWindows(), "Signals are those of Unix.");
        const string status = "/proc/self/status", field = "SigIgn:";
        if (!File.Exists(status))
            return;
        string ignored = File.ReadLines(status).First(line => line.StartsWith(field, StringComparison.Ordinal))[field.Length..];
        Skip.If((Convert.ToUInt64(ignored.Trim(), 16) >> (signal - 1) & 1) != 0,
            $"Signal {signal} is ignored here, as in a shell's background job: run the tests in the foreground.");
    }

    /// <summary>A run whose learning rate does not depend on how long it is to be.</summary>
    private static RunConfig Endless(int steps) => TinyRun.Config with
    {
        Training = TinyRun.Config.Training with { Steps = steps, LearningRateSchedule = "constant", Warmup = 0 },
    };

    private string Write(RunConfig config)
    {
        string path = _folder["config.json"];
        File.WriteAllText(path, config.ToJson().ToJsonString());
        return path;
    }
}
