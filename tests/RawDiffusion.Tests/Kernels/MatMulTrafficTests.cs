using RawDiffusion.Backends;
using RawDiffusion.Backends.Cuda;
using RawDiffusion.Backends.Cuda.Ladders;

namespace RawDiffusion.Tests.Kernels;

/// <summary>
/// A block of a matrix product loads each element that it multiplies once, through whatever stages its copies go: also at the end of a part
/// of a split sum, where the next copy would be of what another block sums.
/// </summary>
public class MatMulTrafficTests
{
    public static TheoryData<string, int> Tiles
    {
        get
        {
            var all = new TheoryData<string, int>();
            foreach (var rung in MatMulLadder.Ladder.Rungs)
            {
                var tiles = CudaBackend.TilesOf(rung);
                for (int i = 0; i < tiles.Count; i++)
                {
                    // The first rungs of the ladder have no parts, and load more: their counters are MatMulLadderTests'.
                    if (tiles[i].Splits)
                        all.Add(rung.Name, i);
                }
            }
            return all;
        }
    }

    [SkippableTheory]
    [MemberData(nameof(Tiles))]
    public void ATileLoadsItsFactorsOnce(string rungName, int tileIndex)
    {
        var rung = MatMulLadder.Ladder[rungName];
        var tile = CudaBackend.TilesOf(rung)[tileIndex];
        var type = rung.Precision == Precision.BFloat16 ? DType.BFloat16 : DType.Float32;
        var g = new MatMulGeometry(1, tile.Rows, tile.Columns, 1024, false, false, 0, 0);
        using var traffic = new KernelTraffic();
        var device = traffic.Device;
        Storage a = device.Allocate(type, g.M * g.K), b = device.Allocate(type, g.K * g.N), c = device.Allocate(DType.Float32, g.M * g.N);
        device.Fill(a, 1);
        device.Fill(b, 1);
        device.MatMul(tile, g, a, b, null, c);
        long loaded = traffic.Launched.Where(name => !name.Contains("add_parts", StringComparison.Ordinal)).Sum(name => traffic.Of(name).Loads.Used);
        Assert.Equal((long)type.Size() * g.K * (g.M + g.N), loaded);
    }
}
