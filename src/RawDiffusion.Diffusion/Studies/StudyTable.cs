using System.Globalization;
using System.Text;
using RawDiffusion.IO;

namespace RawDiffusion.Diffusion.Studies;

/// <summary>
/// One page of all studies in a folder, made from their <c>metrics.json</c> alone: a row for each criterion, those that failed and studies
/// that did not come to their end among them, and the pictures.
/// </summary>
public static class StudyTable
{
    public const string FileName = "results.md";

    /// <summary>Writes <see cref="FileName"/> into a folder, from the studies in it and in the folders within.</summary>
    /// <returns>The path of the page, and what its first line says.</returns>
    /// <exception cref="IOException">The folder is not there, holds no study or cannot be written.</exception>
    public static (string Path, string Summary) Write(string folder)
    {
        var studies = Read(folder);
        if (studies.Count == 0)
            throw new IOException($"{folder}: there is no {StudyRecord.FileName} of a study in it or in the folders within");
        string path = Path.Combine(folder, FileName);
        AtomicFile.WriteAllText(path, Page(studies));
        return (path, Summary([.. studies.Select(each => each.Record)]));
    }

    /// <summary>How many studies and criteria there are, and how they came out.</summary>
    public static string Summary(IReadOnlyList<StudyRecord> records)
    {
        int criteria = records.Sum(record => record.Criteria.Count), met = records.Sum(record => record.Criteria.Count(c => c.Met));
        int unfinished = records.Count(record => record.State != StudyState.Finished);
        string text = $"{Number(records.Count, "study", "studies")}, {met} of {Number(criteria, "criterion", "criteria")} met";
        if (met < criteria)
            text += $", {criteria - met} FAILED";
        if (unfinished > 0)
            text += $"; {Number(unfinished, "study", "studies")} did not come to an end";
        int quick = records.Count(record => !record.Full);
        return quick == 0 ? text + "." : text + $" ({(quick == records.Count ? "all" : quick)} in the quick form).";
    }

    /// <summary>The studies in a folder: itself first, then the folders within in the order of <see cref="AllStudies"/>.</summary>
    /// <exception cref="DirectoryNotFoundException">It is not there.</exception>
    internal static IReadOnlyList<(string Folder, string Path, StudyRecord Record)> Read(string folder)
    {
        if (!Directory.Exists(folder))
            throw new DirectoryNotFoundException($"{folder}: there is no such folder");
        var found = new List<(string Folder, string Path, StudyRecord Record)>();
        if (StudyRecord.Read(folder) is { } own)
            found.Add(("", folder, own));
        var within = new List<(string Folder, string Path, StudyRecord Record)>();
        foreach (string path in Directory.GetDirectories(folder))
        {
            if (StudyRecord.Read(path) is { } record)
                within.Add((Path.GetFileName(path), path, record));
        }
        string[] order = [.. AllStudies.List.Select(study => study.Name)];
        int Place(string name) => Array.IndexOf(order, name) is var at && at < 0 ? order.Length : at;
        found.AddRange(within.OrderBy(each => Place(each.Record.Study)).ThenBy(each => each.Folder, StringComparer.Ordinal));
        return found;
    }

    private static string Page(IReadOnlyList<(string Folder, string Path, StudyRecord Record)> studies)
    {
        var page = new StringBuilder("# Studies\n\n");
        page.Append(Summary([.. studies.Select(each => each.Record)])).Append("\n\n");
        page.Append("Generated from the metrics.json of each study by `rawdiffusion study`, or `rawdiffusion study --table FOLDER`.\n\n");
        page.Append("| study | criterion | measured | bound | | seconds | device | commit | date | form |\n");
        page.Append("|---|---|---|---|---|---|---|---|---|---|\n");
        foreach (var (_, _, record) in studies)
        {
            string seconds = record.Seconds.ToString("0.0", CultureInfo.InvariantCulture);
            string link = $"[{Cell(record.Study)}](#{Anchor(record.Study)})";
            string rest = $"{seconds} | {Cell(record.Device)} | {Cell(Short(record.Commit))} | {Cell(record.Date)} | {(record.Full ? "full" : "quick")}";
            foreach (var criterion in record.Criteria)
                page.Append($"| {link} | {Cell(criterion.What)} | {Cell(criterion.Measured)} | {Cell(criterion.Bound)} | {(criterion.Met ? "met" : "**FAILED**")} | {rest} |\n");
            if (record.State != StudyState.Finished)
                page.Append($"| {link} | (the study itself) | {Cell(Ending(record))} | to come to its end | **FAILED** | {rest} |\n");
            else if (record.Criteria.Count == 0)
                page.Append($"| {link} | (none) | | | | {rest} |\n");
        }
        foreach (var (folder, path, record) in studies)
        {
            page.Append($"\n## {record.Study}\n\n");
            if (record.Lesson.Length > 0)
                page.Append(record.Lesson).Append("\n\n");
            if (record.Tried is { } tried && record.Criteria.Any(criterion => !criterion.Met))
                page.Append("A criterion is missed. What was tried: ").Append(tried.ReplaceLineEndings(" ")).Append("\n\n");
            page.Append($"Numbers: [{StudyRecord.FileName}]({Link(folder, StudyRecord.FileName)})\n");
            foreach (string picture in Directory.GetFiles(path, "*.png").Select(file => Path.GetFileName(file)).Order(StringComparer.Ordinal))
                page.Append($"\n![{Path.GetFileNameWithoutExtension(picture)}]({Link(folder, picture)})\n");
        }
        return page.ToString();
    }

    private static string Ending(StudyRecord record) => record.State switch
    {
        StudyState.Running => "has not come to its end",
        StudyState.Stopped => "was asked to stop",
        _ => $"failed: {record.Error ?? "it is not said why"}",
    };

    private static string Number(int count, string one, string many) => $"{count} {(count == 1 ? one : many)}";

    /// <summary>Text that cannot end a cell or a row.</summary>
    private static string Cell(string text) => text.ReplaceLineEndings(" ").Replace("|", "\\|", StringComparison.Ordinal).Trim();

    // Commits are told apart by ten digits; versions are short.
    private static string Short(string commit) => commit.Length == 40 ? commit[..10] : commit;

    private static string Anchor(string heading) => heading.ToLowerInvariant().Replace(' ', '-');

    private static string Link(string folder, string file) =>
        string.Join('/', new[] { folder, file }.Where(part => part.Length > 0).Select(Uri.EscapeDataString));
}
