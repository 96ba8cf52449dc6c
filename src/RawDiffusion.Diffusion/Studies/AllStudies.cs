using System.Diagnostics;
using System.Globalization;
using RawDiffusion.Diffusion.Training;

namespace RawDiffusion.Diffusion.Studies;

/// <summary>The lessons that there are.</summary>
public static class AllStudies
{
    public static IReadOnlyList<Study> List { get; } =
    [
        new ForwardProcessStudy(),
        new SchedulesStudy(),
        new SmallStepsStudy(),
        new BinomialStudy(),
        new BinomialDigitsStudy(),
        new VariancesStudy(),
        new ScoreVsNoiseStudy(),
        new SamplersStudy(),
        new SdeOdeStudy(),
        new InversionStudy(),
        new InpaintingStudy(),
        new LikelihoodStudy(),
        new LikelihoodTrainingStudy(),
        new VaeHvaeStudy(),
        new GanStudy(),
        new GanMnistStudy(),
        new ScoreMatchingStudy(),
        new GuidanceStudy(),
    ];

    /// <exception cref="ArgumentException">No such study; the message lists those there are.</exception>
    public static Study Find(string name) => List.FirstOrDefault(study => study.Name == name)
        ?? throw new ArgumentException($"there is no study '{name}'; there are: {string.Join(", ", List.Select(study => study.Name))}");

    /// <summary>
    /// Runs studies one after the other, and brings <see cref="StudyTable"/> up to date after each. What goes wrong in one does not end the
    /// others: its result says what it was.
    /// </summary>
    /// <param name="root">Where the table is written. Made if it is not there.</param>
    /// <param name="folder">Where a study leaves what it finds: <paramref name="root"/> itself or a folder in it.</param>
    /// <exception cref="IOException">The folder cannot be made.</exception>
    /// <exception cref="OperationCanceledException">They were asked to stop.</exception>
    public static IReadOnlyList<StudyResult> Run(IReadOnlyList<Study> studies, string root, Func<Study, string> folder, StudySettings settings)
    {
        Directory.CreateDirectory(root);
        var results = new List<StudyResult>();
        foreach (var study in studies)
        {
            settings.Reporter.Line($"{study.Name}: {study.Lesson}");
            var clock = Stopwatch.StartNew();
            try
            {
                results.Add(study.Run(folder(study), settings));
            }
            catch (Exception e) when (studies.Count > 1 && !settings.Stop.IsCancellationRequested)
            {
                settings.Reporter.End();
                settings.Reporter.Line($"FAILED: {study.Name}: {e.Message}");
                results.Add(new StudyResult(study.Name, study.Lesson, clock.Elapsed, [], e.Message));
            }
            finally
            {
                UpdateTable(root, settings.Reporter);
            }
            string seconds = clock.Elapsed.TotalSeconds.ToString("0.0", CultureInfo.InvariantCulture);
            settings.Reporter.Line($"{study.Name}: {seconds} s -> {Path.GetFullPath(folder(study))}");
        }
        return results;
    }

    /// <summary>What kept a study from leaving anything is known already, or about to be.</summary>
    private static void UpdateTable(string root, IRunReporter reporter)
    {
        try
        {
            StudyTable.Write(root);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            reporter.Line($"the table could not be written: {e.Message}");
        }
    }
}
