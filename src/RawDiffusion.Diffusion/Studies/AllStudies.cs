namespace RawDiffusion.Diffusion.Studies;

/// <summary>The lessons that there are.</summary>
public static class AllStudies
{
    public static IReadOnlyList<Study> List { get; } =
    [
        new ForwardProcessStudy(),
        new SmallStepsStudy(),
        new SamplersStudy(),
        new SdeOdeStudy(),
        new LikelihoodStudy(),
        new ScoreMatchingStudy(),
    ];

    /// <exception cref="ArgumentException">No such study; the message lists those there are.</exception>
    public static Study Find(string name) => List.FirstOrDefault(study => study.Name == name)
        ?? throw new ArgumentException($"there is no study '{name}'; there are: {string.Join(", ", List.Select(study => study.Name))}");
}
