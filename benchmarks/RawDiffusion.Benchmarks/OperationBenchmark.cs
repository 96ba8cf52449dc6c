using BenchmarkDotNet.Attributes;
using BenchmarkDotNet.Columns;
using BenchmarkDotNet.Configs;
using BenchmarkDotNet.Jobs;
using BenchmarkDotNet.Loggers;
using BenchmarkDotNet.Order;
using BenchmarkDotNet.Reports;
using BenchmarkDotNet.Running;
using BenchmarkDotNet.Toolchains.InProcess.Emit;
using RawDiffusion.Backends.Cpu;
using RawDiffusion.Verification.Bench;

namespace RawDiffusion.Benchmarks;

/// <summary>Every operation of <see cref="BenchTable"/> on the cpu device at the shapes that it has by default, with its rate beside the peaks measured in the same process.</summary>
[Config(typeof(Config))]
public class OperationBenchmark
{
    [ParamsSource(nameof(Names))]
    public string Operation { get; set; } = "";

    private static readonly Dictionary<string, BenchCase> s_cases =
        BenchTable.All.SelectMany(operation => operation.Shapes.Select(operation.At)).ToDictionary(each => each.ToString());

    private BoundCase? _bound;

    public static IEnumerable<string> Names => s_cases.Keys;

    [GlobalSetup]
    public void Setup() => _bound = new BenchData(s_cases[Operation]).Bind(Device.Cpu, Precision.Float32);

    [Benchmark]
    public void Run() => _bound!.Run();

    [GlobalCleanup]
    public void Cleanup() => _bound!.Dispose();

    private sealed class Config : ManualConfig
    {
        public Config()
        {
            // In this process: the peaks that the columns divide by belong to the same run.
            AddJob(Job.Default.WithToolchain(InProcessEmitToolchain.Instance).WithWarmupCount(2).WithIterationCount(7).WithIterationTime(Perfolizer.Horology.TimeInterval.FromMilliseconds(100)));
            AddColumn(new RateColumn("GFLOP/s", c => c.Flops, null), new RateColumn("% FMA peak", c => c.Flops, PeakFlops.Fma));
            AddColumn(new RateColumn("GB/s", Bytes, null), new RateColumn("% copy", Bytes, PeakFlops.CopyBandwidth));
            AddColumnProvider(DefaultColumnProviders.Params);
            AddColumn(StatisticColumn.Median, StatisticColumn.StdDev);
            AddExporter(BenchmarkDotNet.Exporters.MarkdownExporter.GitHub);
            AddLogger(ConsoleLogger.Default);
            WithOrderer(new DefaultOrderer(SummaryOrderPolicy.Declared));
            WithSummaryStyle(SummaryStyle.Default.WithMaxParameterColumnWidth(80));
            WithOptions(ConfigOptions.DisableLogFile);
        }

        private static double Bytes(BenchCase benchCase) => benchCase.Bytes(Precision.Float32);
    }

    /// <summary>Work per second of the median, in 10^9, or in percent of a peak.</summary>
    private sealed class RateColumn(string name, Func<BenchCase, double> work, Func<double>? peak) : IColumn
    {
        private readonly Lazy<double> _peak = new(() => peak!());

        public string Id => name;

        public string ColumnName => name;

        public bool AlwaysShow => true;

        public ColumnCategory Category => ColumnCategory.Custom;

        public int PriorityInCategory => 0;

        public bool IsNumeric => true;

        public UnitType UnitType => UnitType.Dimensionless;

        public string Legend => name;

        public bool IsAvailable(Summary summary) => true;

        public bool IsDefault(Summary summary, BenchmarkCase benchmarkCase) => false;

        public string GetValue(Summary summary, BenchmarkCase benchmarkCase)
        {
            double amount = work(s_cases[(string)benchmarkCase.Parameters["Operation"]]);
            if (amount == 0 || summary[benchmarkCase]?.ResultStatistics is not { } statistics)
                return "";
            double rate = amount / statistics.Median;
            return peak is null ? $"{rate:0.0}" : $"{100 * rate / _peak.Value:0}";
        }

        public string GetValue(Summary summary, BenchmarkCase benchmarkCase, SummaryStyle style) => GetValue(summary, benchmarkCase);
    }
}
