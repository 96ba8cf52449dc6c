using System.CommandLine;
using System.Globalization;
using RawDiffusion.Cli.Output;
using RawDiffusion.Diffusion.Data;
using RawDiffusion.Diffusion.Plots;
using RawDiffusion.Diffusion.Training;

namespace RawDiffusion.Cli.Commands;

/// <summary><c>rawdiffusion data</c> lists the data sets; <c>rawdiffusion data NAME</c> fetches and checks one and can draw it.</summary>
internal static class DataCommand
{
    /// <summary>What options that name a folder with files have to say about leaving it out.</summary>
    public const string WhereElse = "By default the cache folder (RAWDIFFUSION_HOME, else XDG_CACHE_HOME/rawdiffusion, else ~/.cache/rawdiffusion), where missing files are downloaded.";

    public const string OfflineHelp = "Download nothing; say which files are missing instead.";

    private const int DrawnPoints = 4000, DrawnImages = 200, Columns = 20, Zoom = 2;

    public static Command Create()
    {
        var command = new Command("data", "List the data sets; or fetch and check one, and draw samples of it.");
        var name = new Argument<string?>("NAME") { Description = "A data set.", Arity = ArgumentArity.ZeroOrOne };
        var directory = new Option<string?>("--data-dir") { Description = $"Folder with the files of a data set that comes in files. {WhereElse}" };
        var offline = new Option<bool>("--offline") { Description = OfflineHelp };
        var picture = new Option<string?>("--picture") { Description = "PNG file to draw the first samples of the training stream into." };
        var seed = new Option<ulong>("--seed") { Description = "Seed of the training stream." };
        command.Arguments.Add(name);
        foreach (var option in new Option[] { directory, offline, picture, seed })
            command.Options.Add(option);
        command.SetAction(parsed =>
        {
            if (parsed.GetValue(name) is not { } asked)
            {
                if (new Option[] { directory, offline, picture, seed }.FirstOrDefault(option => parsed.GetResult(option) is { Implicit: false }) is { } idle)
                    throw new ArgumentException($"{idle.Name} is for one data set; say which: {string.Join(", ", DataSets.All.Select(data => data.Name))}");
                List();
                return 0;
            }
            if (parsed.GetResult(seed) is { Implicit: false } && parsed.GetValue(picture) is null)
                throw new ArgumentException("--seed is for the samples that --picture shows");
            if (parsed.GetValue(directory) is not null && !DataSets.Find(asked).HasFiles)
                throw new ArgumentException($"--data-dir is for data that come in files, and {asked} are made on the fly");
            OutputFiles.ExpectFree(parsed.GetValue(picture));
            var reporter = ConsoleReporter.ForStandardOutput();
            var data = DataSets.Open(asked, DownloadReport.Options(parsed.GetValue(directory), parsed.GetValue(offline), reporter, default));
            if (parsed.GetValue(picture) is { } path)
                Draw(data, parsed.GetValue(seed)).Save(path);
            reporter.Table(asked, [.. Facts(data)]);
            return 0;
        });
        return command.WithExamples("data", "data digits --picture digits.png", "data cifar10", "data mnist --data-dir ~/mnist --offline");
    }

    private static void List() => Grid.Write(
        ["name", "shows", "sample", "classes", "samples", "source"],
        [.. DataSets.All.Select(data => new[]
        {
            data.Name, data.Description, data.SampleShape.ToString(), data.Classes == 0 ? "none" : data.Classes.ToString(CultureInfo.InvariantCulture), data.Size, data.Source,
        })]);

    private static IEnumerable<(string, string)> Facts(ITrainingData data)
    {
        yield return ("sample", data.SampleShape.ToString());
        yield return ("samples", data.Count is { } count ? Text($"{count:#,0}, and {data.HeldOut.Count:#,0} held out") : "endless");
        foreach (var kind in data.LabelKinds)
            yield return (kind.Name, string.Join(", ", kind.Values));
    }

    private static IO.Image Draw(ITrainingData data, ulong seed)
    {
        if (data.SampleShape.Rank == 3)
            return new ImageGrid { Columns = Columns, Zoom = Zoom }.Render(data.Draw(0, DrawnImages, seed).X);
        var figure = new Figure();
        var axes = figure.AddAxes(data.Name);
        axes.EqualAspect = true;
        axes.Scatter(data.Draw(0, DrawnPoints, seed).X, radius: 1, alpha: 0.35);
        return figure.Render();
    }

    private static string Text(FormattableString text) => text.ToString(CultureInfo.InvariantCulture);
}
