using RawDiffusion.Diffusion.Training;
using RawDiffusion.Diffusion.Training.Records;

namespace RawDiffusion.Tests.Diffusion.Training;

public sealed class CheckpointFolderTests : IDisposable
{
    private readonly TemporaryFolder _folder = new();
    private readonly CheckpointFolder _checkpoints;

    public CheckpointFolderTests() => _checkpoints = new CheckpointFolder(_folder.Path);

    public void Dispose() => _folder.Dispose();

    [Fact]
    public void The_newest_are_kept_and_the_last_is_the_latest()
    {
        foreach (int step in new[] { 5, 10, 15, 100 })
            Save(step, keep: 2);

        Assert.Equal(["latest", "step-100", "step-15"], Names());
        Assert.Equal(_folder["checkpoints/step-100"], _checkpoints.Latest);
        Assert.Equal("step-100\n", File.ReadAllText(_folder["checkpoints/latest"]));
    }

    [Fact]
    public void Without_any_there_is_no_latest() => Assert.Null(_checkpoints.Latest);

    [Fact]
    public void A_failed_save_leaves_those_before_and_nothing_else()
    {
        Save(5, keep: 1);
        Assert.Throws<IOException>(() => _checkpoints.Save(10, keep: 1, folder =>
        {
            File.WriteAllText(Path.Combine(folder, "half"), "");
            throw new IOException("No space left on device");
        }));

        Assert.Equal(["latest", "step-5"], Names());
        Assert.Equal(_folder["checkpoints/step-5"], _checkpoints.Latest);
    }

    [Theory]
    [InlineData("step-7.unfinished")]
    [InlineData("step-3-0123456789abcdef0123456789abcdef.unfinished")]
    public void What_a_crash_left_is_no_checkpoint_and_is_swept(string leftover)
    {
        Save(5, keep: 1);
        Directory.CreateDirectory(_folder[$"checkpoints/{leftover}"]);
        File.WriteAllText(_folder[$"checkpoints/{leftover}/{TrainingState.FileName}"], "{}");
        File.WriteAllText(_folder["checkpoints/.latest.0123456789abcdef0123456789abcdef.tmp"], "step-");
        Assert.Equal(_folder["checkpoints/step-5"], _checkpoints.Latest);

        _checkpoints.Sweep();
        Assert.Equal(["latest", "step-5"], Names());
    }

    [Theory]
    [InlineData(null)]
    [InlineData("")]
    [InlineData("step-9")]
    [InlineData("../../secrets")]
    public void Where_latest_is_missing_or_wrong_the_newest_whole_one_counts(string? latest)
    {
        Save(5, keep: 3);
        Save(7, keep: 3);
        Directory.CreateDirectory(_folder["checkpoints/step-8"]);
        if (latest is null)
            File.Delete(_folder["checkpoints/latest"]);
        else
            File.WriteAllText(_folder["checkpoints/latest"], latest);

        Assert.Equal(_folder["checkpoints/step-7"], _checkpoints.Latest);
    }

    /// <summary>Whoever writes an earlier step into <c>latest</c> goes back to it, and makes the later steps anew.</summary>
    [Fact]
    public void A_step_that_is_made_again_replaces_its_checkpoint()
    {
        Save(5, keep: 3, "first");
        Save(7, keep: 3, "first");
        File.WriteAllText(_folder["checkpoints/latest"], "step-5");
        Assert.Equal(_folder["checkpoints/step-5"], _checkpoints.Latest);
        Save(7, keep: 3, "second");

        Assert.Equal("second", File.ReadAllText(_folder[$"checkpoints/step-7/{TrainingState.FileName}"]));
        Assert.Equal(["latest", "step-5", "step-7"], Names());
    }

    [Fact]
    public void Folders_of_other_names_are_left_alone()
    {
        Directory.CreateDirectory(_folder["checkpoints/best"]);
        Save(5, keep: 1);
        Save(6, keep: 1);
        Assert.Equal(["best", "latest", "step-6"], Names());
    }

    private void Save(int step, int keep, string contents = "{}") =>
        _checkpoints.Save(step, keep, folder => File.WriteAllText(Path.Combine(folder, TrainingState.FileName), contents));

    private string[] Names() => [.. Directory.EnumerateFileSystemEntries(_folder["checkpoints"]).Select(path => Path.GetFileName(path)!).Order(StringComparer.Ordinal)];
}
