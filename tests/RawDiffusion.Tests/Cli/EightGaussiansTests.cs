using System.Text.Json;
using RawDiffusion.Cli;
using RawDiffusion.IO;

namespace RawDiffusion.Tests.Cli;

/// <summary>The preset in a reduced form of a few seconds; the full one is what the first command of the README runs.</summary>
public class EightGaussiansTests
{
    private const string Reduced = "train eight-gaussians --steps 300 --samples 500 --sampling-steps 20 --seed 5 --device cpu";

    [Fact]
    public void A_run_leaves_everything_that_the_design_promises()
    {
        using var folder = new TemporaryFolder();
        string run = Path.Combine(folder.Path, "run");
        Execute($"{Reduced} --out {run}");

        using var config = JsonDocument.Parse(File.ReadAllText(Path.Combine(run, "config.json")));
        Assert.Equal("eight-gaussians", config.RootElement.GetProperty("preset").GetString());
        Assert.Equal(5, config.RootElement.GetProperty("seed").GetInt32());
        Assert.Equal(300, config.RootElement.GetProperty("training").GetProperty("steps").GetInt32());
        Assert.NotEmpty(config.RootElement.GetProperty("history")[0].GetProperty("runtime").GetString()!);
        Assert.Equal("cpu", config.RootElement.GetProperty("device").GetString());

        using var metrics = JsonDocument.Parse(File.ReadAllText(Path.Combine(run, "metrics.json")));
        Assert.Equal(8, metrics.RootElement.GetProperty("modeShares").GetArrayLength());
        Assert.Equal(20, metrics.RootElement.GetProperty("networkEvaluations").GetInt32());

        string[] log = File.ReadAllLines(Path.Combine(run, "log.csv"));
        Assert.Equal("step,samples,loss,learningRate,gradientNorm,seconds,samplesPerSecond", log[0]);
        Assert.Equal("300", log[^1].Split(',')[0]);

        using var file = Safetensors.Load(Path.Combine(run, "samples.safetensors"));
        var samples = file.Read("x", Device.Cpu);
        Assert.Equal(new Shape(500, 2), samples.Shape);

        Assert.Equal([0x89, (byte)'P', (byte)'N', (byte)'G'], File.ReadAllBytes(Path.Combine(run, "samples", "step-300.png"))[..4]);

        string latest = File.ReadAllText(Path.Combine(run, "checkpoints", "latest")).Trim();
        Assert.Equal("step-300", latest);
        using var checkpoint = Safetensors.Load(Path.Combine(run, "checkpoints", latest, "ema", "model.safetensors"));
        Assert.NotEmpty(checkpoint.Entries);
        Assert.Single(Directory.GetFiles(run, "events.out.tfevents.*"));
    }

    [Fact]
    public void A_short_training_already_finds_most_modes()
    {
        using var folder = new TemporaryFolder();
        string run = Path.Combine(folder.Path, "run");
        Execute($"train eight-gaussians --steps 1500 --samples 2000 --sampling-steps 50 --device cpu --out {run}");

        using var metrics = JsonDocument.Parse(File.ReadAllText(Path.Combine(run, "metrics.json")));
        // Untrained, no mode holds 5% of the samples within four standard deviations of it; trained to the end, all do.
        Assert.True(metrics.RootElement.GetProperty("modesFound").GetInt32() >= 6);
        Assert.True(metrics.RootElement.GetProperty("slicedWasserstein").GetDouble() < 0.3);
    }

    [Fact]
    public void The_same_seed_gives_the_same_bits_with_one_thread_and_with_two()
    {
        using var folder = new TemporaryFolder();
        int threads = Backends.Cpu.Workers.Count;
        try
        {
            Backends.Cpu.Workers.SetCount(1);
            Execute($"{Reduced} --out {Path.Combine(folder.Path, "a")}");
            Backends.Cpu.Workers.SetCount(2);
            Execute($"{Reduced} --out {Path.Combine(folder.Path, "b")}");
        }
        finally
        {
            Backends.Cpu.Workers.SetCount(threads);
        }
        Assert.Equal(
            File.ReadAllBytes(Path.Combine(folder.Path, "a", "samples.safetensors")),
            File.ReadAllBytes(Path.Combine(folder.Path, "b", "samples.safetensors")));
    }

    private static void Execute(string commandLine)
    {
        var error = new StringWriter();
        Assert.True(Program.Run(commandLine.Split(' '), error) == 0, error.ToString());
    }
}
