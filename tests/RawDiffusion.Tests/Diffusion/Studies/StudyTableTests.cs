using System.Text.Json.Nodes;
using RawDiffusion.Cli;
using RawDiffusion.Diffusion.Plots;
using RawDiffusion.Diffusion.Studies;

namespace RawDiffusion.Tests.Diffusion.Studies;

/// <summary>The page of all studies: made from what they left, whatever became of them.</summary>
public sealed class StudyTableTests : IDisposable
{
    private readonly TemporaryFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    [Fact]
    public void Every_criterion_has_a_row_with_what_it_was_measured_by()
    {
        Run(new Measured("good", context =>
        {
            context.AtMost("distance | in floors", 1.25, 1.5);
            context.AtLeast("share", 0.25, 0.5);
            context.AtMost("tiny", 3.2e-8, 1e-4);
            context.Above("rise", 0, 0);
            context.Beside("distances", 1.25, 3);
            context.Figure("curve", OneLine());
        }));
        string page = Page();
        Assert.Contains("| distance \\| in floors | 1.25 | <= 1.5 | met |", page);
        Assert.Contains("| tiny | 3.2e-8 | <= 1e-4 | met |", page);
        Assert.Contains("| share | 0.25 | >= 0.5 | **FAILED** |", page);
        Assert.Contains("| rise | 0 | > 0 | **FAILED** |", page);
        Assert.Contains("| distances | 1.25 beside 3 | stated | met |", page);
        Assert.Contains("1 study, 3 of 5 criteria met, 2 FAILED (all in the quick form).", page);
        Assert.Contains("![curve](good/curve.png)", page);
        string row = page.Split('\n').First(line => line.Contains("share"));
        Assert.Contains("| cpu |", row);
        Assert.Contains($"| {DateTime.UtcNow.Year}-", row);
        Assert.EndsWith("| quick |", row);
        // A commit, or the version of a build outside of a checkout.
        string commit = row.Split('|')[^4].Trim();
        Assert.StartsWith(commit, SourceVersion.Commit);
        Assert.NotEmpty(commit);
    }

    [Fact]
    public void A_study_that_fails_has_its_row_and_does_not_end_the_others()
    {
        var results = Run(
            new Measured("before", context => context.AtMost("one", 1, 2)),
            new Measured("broken", context =>
            {
                context.AtMost("two", 1, 2);
                throw new InvalidOperationException("the lamp\nwent out");
            }),
            new Measured("after", context => context.AtMost("three", 1, 2)));
        Assert.Equal([true, false, true], results.Select(result => result.Passed));
        Assert.Equal("the lamp\nwent out", results[1].Error);
        string page = Page();
        Assert.Contains("failed: the lamp went out | to come to its end | **FAILED** |", page);
        // What it measured before stays.
        Assert.Contains("| two | 1 | <= 2 | met |", page);
        Assert.Contains("3 studies, 3 of 3 criteria met; 1 study did not come to an end (all in the quick form).", page);
    }

    [Fact]
    public void A_single_study_that_fails_says_so_itself_and_in_the_table()
    {
        var broken = new Measured("broken", _ => throw new IOException("no data"));
        Assert.Equal("no data", Assert.Throws<IOException>(() => Run(broken)).Message);
        Assert.Contains("failed: no data", Page());
    }

    [Fact]
    public void A_study_that_is_asked_to_stop_is_not_called_failed_and_ends_the_others()
    {
        using var stop = new CancellationTokenSource();
        bool ran = false;
        Assert.Throws<OperationCanceledException>(() => AllStudies.Run(
            [
                new Measured("first", context =>
                {
                    context.AtMost("one", 1, 2);
                    stop.Cancel();
                    context.ThrowIfStopped();
                }),
                new Measured("second", _ => ran = true),
            ],
            _folder.Path, study => Path.Combine(_folder.Path, study.Name), new StudySettings { Quick = true, Stop = stop.Token }));
        Assert.False(ran);
        string page = Page();
        Assert.Contains("was asked to stop", page);
        Assert.Contains("| one | 1 | <= 2 | met |", page);
    }

    /// <summary>What a killed process leaves is what was there in the middle of its study.</summary>
    [Fact]
    public void A_study_whose_process_was_ended_has_not_come_to_its_end()
    {
        string inside = "";
        Run(new Measured("killed", _ =>
        {
            StudyTable.Write(_folder.Path);
            inside = Page();
        }));
        Assert.Contains("has not come to its end", inside);
        Assert.DoesNotContain("has not come to its end", Page());
    }

    [Fact]
    public void Studies_come_in_their_usual_order_and_other_folders_are_left_out()
    {
        Run(new Measured("unheard-of", _ => { }), new Measured("likelihood", _ => { }), new Measured("small-steps", _ => { }));
        Directory.CreateDirectory(Path.Combine(_folder.Path, "empty"));
        string run = Directory.CreateDirectory(Path.Combine(_folder.Path, "run")).FullName;
        File.WriteAllText(Path.Combine(run, "metrics.json"), "{ \"cfid\": 1.0 }");
        Assert.Equal(["small-steps", "likelihood", "unheard-of"], StudyTable.Read(_folder.Path).Select(each => each.Record.Study));
    }

    [Theory]
    [InlineData("{ \"study\": \"samp")]
    [InlineData("{ \"study\": 3 }")]
    [InlineData("{ \"study\": \"samplers\", \"criteria\": { \"what\": 1 } }")]
    [InlineData("{ \"study\": \"samplers\", \"criteria\": [null] }")]
    [InlineData("{ \"study\": \"samplers\", \"study\": \"samplers\" }")]
    [InlineData("")]
    public void A_damaged_file_has_its_row(string contents)
    {
        string broken = Directory.CreateDirectory(Path.Combine(_folder.Path, "samplers")).FullName;
        File.WriteAllText(Path.Combine(broken, "metrics.json"), contents);
        var (_, summary) = StudyTable.Write(_folder.Path);
        Assert.Contains("1 study did not come to an end", summary);
        Assert.Contains("| failed: metrics.json cannot be read: ", Page());
    }

    [Fact]
    public void What_is_read_is_what_was_written()
    {
        Run(new Measured("numbers", context =>
        {
            context.Number("one", 1.5);
            context.Number("none", double.NaN);
            context.Number("several", new JsonObject { ["limit"] = double.PositiveInfinity, ["list"] = new JsonArray(1, 2) });
            context.Numbers("by setting", [0.8 * 0.8, 1000], [1, double.NaN]);
            context.Near("close", 1, 2, 0.5);
        }));
        var json = JsonNode.Parse(File.ReadAllText(Path.Combine(_folder.Path, "numbers", StudyRecord.FileName)))!;
        Assert.Equal("""{"one":1.5,"none":"NaN","several":{"limit":"Infinity","list":[1,2]},"by setting":{"0.64":1,"1000":"NaN"}}""", json["numbers"]!.ToJsonString());
        var record = StudyRecord.Read(Path.Combine(_folder.Path, "numbers"))!;
        Assert.Equal(("numbers", StudyState.Finished, "cpu", false), (record.Study, record.State, record.Device, record.Full));
        Assert.Equal(new Criterion("close", "1", "2 +- 0.5", false), Assert.Single(record.Criteria));
    }

    [Fact]
    public void What_was_tried_is_told_where_a_criterion_is_missed_and_only_there()
    {
        const string Tried = "more steps,\nto no avail";
        Run(
            new Measured("missed", context => context.AtMost("one", 3, 2), Tried),
            new Measured("met", context => context.AtMost("one", 1, 2), Tried),
            new Measured("silent", context => context.AtMost("one", 3, 2)));
        string page = Page();
        Assert.Equal(2, page.Split("What was tried: more steps, to no avail\n").Length);
        Assert.Contains("What was tried", page[page.IndexOf("## missed", StringComparison.Ordinal)..page.IndexOf("## silent", StringComparison.Ordinal)]);
        Assert.Equal([Tried, null, null], new[] { "missed", "met", "silent" }.Select(name => StudyRecord.Read(Path.Combine(_folder.Path, name))!.Tried));
    }

    /// <summary>Files of before there was anything to say of what was tried.</summary>
    [Fact]
    public void A_file_that_does_not_say_what_was_tried_is_read()
    {
        string old = Directory.CreateDirectory(Path.Combine(_folder.Path, "old")).FullName;
        File.WriteAllText(
            Path.Combine(old, "metrics.json"),
            """{ "study": "old", "state": "finished", "criteria": [{ "what": "one", "measured": "3", "bound": "<= 2", "met": false }], "numbers": {} }""");
        StudyTable.Write(_folder.Path);
        Assert.Contains("| one | 3 | <= 2 | **FAILED** |", Page());
        Assert.DoesNotContain("What was tried", Page());
    }

    [Fact]
    public void The_command_makes_the_table_of_a_folder_without_running_anything()
    {
        Run(new Measured("samplers", context => context.AtMost("one", 1, 2)));
        string before = Page();
        File.Delete(Path.Combine(_folder.Path, StudyTable.FileName));
        Assert.Equal(0, Program.Run(["study", "--table", _folder.Path], TextWriter.Null));
        Assert.Equal(before, Page());
    }

    [Fact]
    public void The_command_runs_a_study_into_a_folder_of_its_own()
    {
        string own = Path.Combine(_folder.Path, "own");
        Assert.Equal(0, Program.Run(["study", "small-steps", "--quick", "--device", "cpu", "--out", own], TextWriter.Null));
        Assert.Contains("![divergence](divergence.png)", File.ReadAllText(Path.Combine(own, StudyTable.FileName)));
    }

    [Theory]
    [InlineData("1.0.0+32d06c05749a4528c478765970760eac996cacd5", "32d06c05749a4528c478765970760eac996cacd5")]
    [InlineData("1.2.3", "1.2.3")]
    public void The_code_is_named_by_its_commit_or_its_version(string version, string expected) => Assert.Equal(expected, SourceVersion.OfVersion(version));

    private IReadOnlyList<StudyResult> Run(params Study[] studies) => AllStudies.Run(
        studies, _folder.Path, study => Path.Combine(_folder.Path, study.Name), new StudySettings { Quick = true });

    private string Page() => File.ReadAllText(Path.Combine(_folder.Path, StudyTable.FileName));

    private static Figure OneLine()
    {
        var figure = new Figure();
        figure.AddAxes("a line").Plot([0, 1], [0, 1]);
        return figure;
    }

    private sealed class Measured(string name, Action<StudyContext> run, string? tried = null) : Study
    {
        public override string Name => name;

        public override string Lesson => "Something is measured.";

        public override string? Tried => tried;

        public override void Run(StudyContext context) => run(context);
    }
}
