using System.Text.Json.Nodes;
using RawDiffusion.Diffusion.Studies;

namespace RawDiffusion.Tests.Diffusion.Studies;

/// <summary>The studies of the plane in their reduced form: they meet their criteria and leave their figures and numbers.</summary>
public class StudyTests
{
    public static TheoryData<string> Names => [.. AllStudies.List.Where(study => !study.NeedsImages).Select(study => study.Name)];

    [Theory]
    [MemberData(nameof(Names))]
    public void A_study_meets_its_criteria_and_leaves_its_numbers(string name)
    {
        using var folder = new TemporaryFolder();
        var result = AllStudies.Find(name).Run(folder.Path, new StudySettings { Quick = true });
        Assert.NotEmpty(result.Criteria);
        Assert.All(result.Criteria, criterion => Assert.True(criterion.Met, criterion.ToString()));
        Assert.NotEmpty(Directory.GetFiles(folder.Path, "*.png"));
        var json = JsonNode.Parse(File.ReadAllText(Path.Combine(folder.Path, "metrics.json")))!;
        Assert.Equal(name, json["study"]!.GetValue<string>());
        Assert.True(json["passed"]!.GetValue<bool>());
        Assert.Equal(result.Criteria.Count, json["criteria"]!.AsArray().Count);
    }

    [Fact]
    public void An_unknown_study_is_named_with_those_there_are()
    {
        string message = Assert.Throws<ArgumentException>(() => AllStudies.Find("alchemy")).Message;
        Assert.Contains("alchemy", message);
        Assert.Contains("samplers", message);
    }

    [Fact]
    public void A_missed_criterion_fails_the_study()
    {
        using var folder = new TemporaryFolder();
        var result = new Hopeless().Run(folder.Path, new StudySettings());
        Assert.False(result.Passed);
        Assert.False(JsonNode.Parse(File.ReadAllText(Path.Combine(folder.Path, "metrics.json")))!["passed"]!.GetValue<bool>());
    }

    private sealed class Hopeless : Study
    {
        public override string Name => "hopeless";

        public override string Lesson => "Not everything works.";

        public override void Run(StudyContext context)
        {
            context.AtMost("one", 1, 2);
            context.AtLeast("not a number", double.NaN, 0);
        }
    }
}
