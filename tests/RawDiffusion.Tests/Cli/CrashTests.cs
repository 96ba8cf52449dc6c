using RawDiffusion.Diffusion.Training.Configuration;
using RawDiffusion.Diffusion.Training.Records;
using RawDiffusion.Tests.Diffusion.Training;

namespace RawDiffusion.Tests.Cli;

/// <summary>Whatever ends a process while it saves, the last whole checkpoint is there and the run goes on from it.</summary>
public sealed class CrashTests : IDisposable
{
    private const string IterationsVariable = "RAWDIFFUSION_KILL_ITERATIONS";

    // Milliseconds after the first save: time for some more of them.
    private const int LongestLife = 100;

    private static readonly string[] s_parts = ["model/model.safetensors", "ema/model.safetensors", "optimizer.safetensors"];

    private readonly TemporaryFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    /// <summary>
    /// A run that saves after every step is killed again and again, each time at another moment, and goes on each time. What comes out in
    /// the end is what an undisturbed run makes. Three times by default; RAWDIFFUSION_KILL_ITERATIONS sets the number.
    /// </summary>
    [SkippableFact]
    public async Task A_run_that_is_killed_while_it_saves_goes_on_to_the_same_bits()
    {
        Skip.If(OperatingSystem.IsWindows(), "Signals are those of Unix.");
        int iterations = int.Parse(Environment.GetEnvironmentVariable(IterationsVariable) ?? "3");
        var random = new Random(1);
        File.WriteAllText(_folder["config.json"], Config(1_000_000, checkpointEvery: 1).ToJson().ToJsonString());
        int reached = 0;
        for (int i = 0; i < iterations; i++)
        {
            using var process = i == 0
                ? CliProcess.Start("train", "--config", _folder["config.json"], "--out", _folder["killed"])
                : CliProcess.Start("train", "--resume", _folder["killed"]);
            while (LatestStep() <= reached)
            {
                Assert.False(process.HasExited, "the process ended by itself");
                await Task.Delay(1);
            }
            await Task.Delay(TimeSpan.FromMilliseconds(LongestLife * random.NextDouble()));
            process.Signal(CliProcess.Kill);
            Assert.Equal(128 + CliProcess.Kill, process.Finish().ExitCode);
            Assert.True(LatestStep() > reached);
            reached = LatestStep();
        }

        // The last resume also shows that the last checkpoint loads.
        TinyRun.Resume(_folder["killed"], stopAt: reached + 1);
        Assert.Equal(reached + 1, LatestStep());
        TinyRun.Start(Config(reached + 1, checkpointEvery: 0), _folder["straight"]);
        foreach (string part in s_parts)
        {
            Assert.Equal(
                File.ReadAllBytes(_folder[$"straight/checkpoints/step-{reached + 1}/{part}"]),
                File.ReadAllBytes(_folder[$"killed/checkpoints/step-{reached + 1}/{part}"]));
        }
        Assert.DoesNotContain(Directory.EnumerateFileSystemEntries(_folder["killed/checkpoints"]), path => path.EndsWith("unfinished"));
    }

    /// <summary>The limits let the weights fail, the optimizer's state after them, and the samples after the whole checkpoint.</summary>
    [SkippableTheory]
    [InlineData(100, "model.safetensors", 10)]
    [InlineData(200, "optimizer.safetensors", 10)]
    [InlineData(310, "samples.safetensors", 20)]
    public void A_full_disk_leaves_the_files_that_were_there_and_is_told_in_one_line(int kilobytes, string culprit, int latest)
    {
        Skip.If(OperatingSystem.IsWindows(), "The limit on files is Unix's.");
        string run = _folder["run"];
        var error = new StringWriter();
        Assert.Equal(0, RawDiffusion.Cli.Program.Run(["train", "eight-gaussians", "--steps", "10", "--samples", "100", "--sampling-steps", "2", "--out", run], error));
        var before = s_parts.Append("../../samples.safetensors").ToDictionary(part => part, part => File.ReadAllBytes(Path.Combine(run, "checkpoints/step-10", part)));

        using var process = CliProcess.StartWithFileLimit(kilobytes, "train", "--resume", run, "--steps", "20", "--samples", "50000");
        var (code, message) = process.Finish();

        Assert.Equal(2, code);
        Assert.StartsWith("rawdiffusion: ", message);
        Assert.Contains(culprit, message);
        Assert.DoesNotContain('\n', message);
        Assert.Equal($"step-{latest}\n", File.ReadAllText(Path.Combine(run, "checkpoints/latest")));
        foreach (var (part, bytes) in before)
            Assert.Equal(bytes, File.ReadAllBytes(Path.Combine(run, "checkpoints/step-10", part)));
        Assert.DoesNotContain(Directory.EnumerateFileSystemEntries(run, "*", SearchOption.AllDirectories), path => path.EndsWith("tmp") || path.EndsWith("unfinished"));
    }

    private static RunConfig Config(int steps, int checkpointEvery) => TinyRun.Config with
    {
        Training = TinyRun.Config.Training with
        {
            Steps = steps, CheckpointEvery = checkpointEvery, KeepCheckpoints = 2, LearningRateSchedule = "constant", Warmup = 0,
        },
    };

    private int LatestStep() =>
        new CheckpointFolder(_folder["killed"]).Latest is { } latest ? int.Parse(Path.GetFileName(latest)["step-".Length..]) : 0;
}
