namespace RawDiffusion.Diffusion.Training;

/// <summary>Receives what a run has to tell; the command line draws bars and tables from it.</summary>
public interface IRunReporter
{
    /// <summary>A remark.</summary>
    void Line(string text);

    /// <summary>A phase begins.</summary>
    /// <param name="steps">Its length.</param>
    /// <param name="samplesPerStep">For the rate shown; 0 for none.</param>
    /// <param name="done">Steps that were made before, in an earlier process.</param>
    /// <param name="unit">What a step is, for the rate shown.</param>
    void Begin(string phase, int steps, int samplesPerStep = 0, int done = 0, string unit = "it");

    /// <summary>Steps done so far in this phase and, where there is one, the latest loss. Called after every step: must be cheap.</summary>
    void Report(int step, double? loss = null);

    void End();

    /// <summary>Results, a name and a value per row.</summary>
    void Table(string title, IReadOnlyList<(string Name, string Value)> rows);
}

/// <summary>Says nothing.</summary>
public sealed class SilentReporter : IRunReporter
{
    public static SilentReporter Instance { get; } = new();

    public void Line(string text)
    {
    }

    public void Begin(string phase, int steps, int samplesPerStep, int done, string unit)
    {
    }

    public void Report(int step, double? loss)
    {
    }

    public void End()
    {
    }

    public void Table(string title, IReadOnlyList<(string Name, string Value)> rows)
    {
    }
}
