using RawDiffusion.Backends.Cuda;
using RawDiffusion.Cuda;
using RawDiffusion.Tests.Kernels;

namespace RawDiffusion.Tests;

/// <summary>
/// The tests of what kernels move, which notice a mistake that makes no result wrong: that reads twice, or element by element where 16
/// bytes would go at once. They make their devices themselves (<see cref="KernelTraffic"/>).
/// </summary>
internal static class TrafficSamples
{
    private static readonly (string Name, Action Test)[] s_all =
    [
        .. Of(type => ($"elementwise {type}", () => new ElementwiseKernelTests().EveryElementIsReadAndWrittenOnceIn16Bytes(type))),
        .. Of(type => ($"broadcast {type}", () => new ElementwiseKernelTests().BroadcastRowsAreReadAndWrittenIn16Bytes(type))),
        .. Of(type => ($"resampling {type}", () => new PointwiseKernelTests().ResamplingTouchesEveryPixelOnceIn16Bytes(type))),
        .. Of(type => ($"embeddings {type}", () => new PointwiseKernelTests().EmbeddingsMoveRowsOnceAndGradientsLookAtIndicesOnceARow(type))),
        ("noise schedules", () => new PointwiseKernelTests().NoiseSchedulesAndRandomNumbersMoveEveryElementOnceIn16Bytes()),
        ("optimizers", () => new PointwiseKernelTests().OptimizersTouchEveryArrayOnceIn16Bytes()),
        .. Of(type => ($"rows {type}", () => new RowKernelTests().RowsAreReadAndWrittenOnceIn16Bytes(type, 64, 512))),
        .. Of(type => ($"long rows {type}", () => new RowKernelTests().RowsAreReadAndWrittenOnceIn16Bytes(type, 4, 4096))),
        ("reductions of one row", () => new RowKernelTests().ReductionsReadOnceIn16Bytes(DType.Float32, 1, 1 << 20, 1)),
        .. Of(type => ($"reductions of columns {type}", () => new RowKernelTests().ReductionsReadOnceIn16Bytes(type, 1, 8192, 128))),
        ("reductions of rows", () => new RowKernelTests().ReductionsReadOnceIn16Bytes(DType.BFloat16, 64, 4096, 1)),
        .. Of(type => ($"permute {type}", () => new ShapingKernelTests().ATiledPermuteReadsAndWritesWholeSectorsWithoutBankConflicts(type))),
        .. Of(type => ($"runs {type}", () => new ShapingKernelTests().RunsOfWhole16BytesAreMovedIn16Bytes(type))),
        .. MatMulTrafficTests.Tiles.Select(tile =>
            ($"product {tile[0]} {tile[1]}", (Action)(() => new MatMulTrafficTests().ATileLoadsItsFactorsOnce((string)tile[0], (int)tile[1])))),
        ("group norm float32", () => new GroupNormKernelTests().EachRungMovesLessThanTheOneBefore(DType.Float32, 1024, 64, 16)),
        ("group norm bfloat16", () => new GroupNormKernelTests().EachRungMovesLessThanTheOneBefore(DType.BFloat16, 512, 64, 16)),
    ];

    /// <summary>By sample the files that it executes kernels of, headers included.</summary>
    private static readonly Lazy<HashSet<string>[]> s_files = new(() => Array.ConvertAll(s_all, sample =>
    {
        var files = new HashSet<string>();
        KernelTraffic.With(new KernelCompiler(), file =>
        {
            var source = KernelLibrary.Source(file);
            files.UnionWith([file, .. source.Included()]);
            return source;
        }, sample.Test);
        return files;
    }));

    /// <summary>What the first of those that execute kernels of a file objects to, or null.</summary>
    public static string? Failure(string file, KernelCompiler compiler, Func<string, KernelSource> sources)
    {
        for (int i = 0; i < s_all.Length; i++)
        {
            if (!s_files.Value[i].Contains(file))
                continue;
            try
            {
                KernelTraffic.With(compiler, sources, s_all[i].Test);
            }
            catch (Exception e)
            {
                return $"{s_all[i].Name}: {e}";
            }
        }
        return null;
    }

    private static IEnumerable<(string, Action)> Of(Func<DType, (string, Action)> sample) => [sample(DType.Float32), sample(DType.BFloat16)];
}
