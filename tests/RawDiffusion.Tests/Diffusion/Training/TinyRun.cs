using System.Text.Json.Nodes;
using RawDiffusion.Diffusion.Training;
using RawDiffusion.Diffusion.Training.Configuration;
using RawDiffusion.Diffusion.Training.Records;

namespace RawDiffusion.Tests.Diffusion.Training;

/// <summary>Runs of a few steps of a tiny network, with everything that a run has.</summary>
internal static class TinyRun
{
    public static RunConfig Config { get; } = Presets.Find("eight-gaussians").Config.With(Json(
        """
        {
          "seed": 3,
          "model": { "mlp": { "width": 8, "layers": 2, "timeWidth": 4 } },
          "training": { "steps": 12, "batch": 16, "logEvery": 5, "sampleEvery": 0, "checkpointEvery": 0, "keepCheckpoints": 1 },
          "sampling": { "steps": 3, "count": 20 }
        }
        """));

    /// <summary>The same for images: a conditional UNet on the files of <see cref="TinyMnist"/>.</summary>
    public static RunConfig Images(string folder) => Presets.Find("mnist").Config.With(Json(
        $$"""
        {
          "seed": 3,
          "data": { "directory": {{JsonValue.Create(folder).ToJsonString()}} },
          "model": {
            "conditional": true,
            "unet2d": {
              "blockOutChannels": [8, 8], "downBlockTypes": ["DownBlock2D", "DownBlock2D"], "upBlockTypes": ["UpBlock2D", "UpBlock2D"],
              "normNumGroups": 4, "layersPerBlock": 1, "addAttention": false, "dropout": 0.2
            }
          },
          "training": { "steps": 6, "batch": 6, "logEvery": 2, "labelDropout": 0.5, "sampleEvery": 0, "checkpointEvery": 0, "keepCheckpoints": 1 },
          "sampling": { "steps": 2, "count": 12, "guidance": 1.5 },
          "evaluation": { "classifierSteps": 2 }
        }
        """));

    public static JsonObject Json(string text) => JsonNode.Parse(text)!.AsObject();

    public static RunOutcome Start(RunConfig config, string folder, int stopAt = int.MaxValue)
    {
        using var stop = new CancellationTokenSource();
        return DiffusionRun.Start(config, () => RunFolder.Create(folder), new StoppingReporter(stop, stopAt), stop.Token);
    }

    public static RunOutcome Resume(string folder, int stopAt = int.MaxValue, string changes = "{}", string phase = "train")
    {
        using var stop = new CancellationTokenSource();
        return DiffusionRun.Resume(folder, Json(changes), new StoppingReporter(stop, stopAt, phase), stop.Token);
    }

    /// <summary>Asks a run to stop when it has made a step, as a signal would.</summary>
    private sealed class StoppingReporter(CancellationTokenSource stop, int stopAt, string stopIn = "train") : IRunReporter
    {
        private bool _isIn;

        public void Line(string text)
        {
        }

        public void Begin(string phase, int steps, int samplesPerStep, int done, string unit) => _isIn = phase == stopIn;

        public void Report(int step, double? loss)
        {
            if (_isIn && step == stopAt)
                stop.Cancel();
        }

        public void End()
        {
        }

        public void Table(string title, IReadOnlyList<(string Name, string Value)> rows)
        {
        }
    }
}
