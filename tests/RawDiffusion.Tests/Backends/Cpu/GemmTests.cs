using RawDiffusion.Backends.Cpu;

namespace RawDiffusion.Tests;

public unsafe class GemmTests
{
    [Fact]
    public void PanelsCoverAllColumnsAndWasteLessThanAVector()
    {
        foreach (int lanes in new[] { 4, 8, 16 })
        {
            for (int columns = 1; columns <= 200; columns++)
            {
                var panels = GemmPanels.OfColumns(columns, lanes);
                int start = 0;
                for (int i = 0; i < panels.Count; i++)
                {
                    Assert.Equal(start, panels.Start(i));
                    Assert.InRange(panels.Vectors(i), panels.Count == 1 ? 1 : 2, 3);
                    start += panels.Width(i);
                }
                Assert.Equal(start, panels.Start(panels.Count));
                Assert.InRange(start - columns, 0, lanes - 1);
            }
        }
    }

    [Theory]
    [InlineData(1, 50, 8, 37)]
    [InlineData(50, 1, 8, 37)]
    [InlineData(1, 50, 8, 48)]
    [InlineData(50, 1, 4, 48)]
    public void PackingPutsEveryElementAtItsPlaceAndZerosAtTheBorder(int kStep, int laneStep, int lanes, int count)
    {
        const int Depth = 29;
        var source = new float[50 * 50];
        for (int i = 0; i < source.Length; i++)
            source[i] = i + 1;
        fixed (float* from = source)
        {
            var panels = lanes == 4 ? GemmPanels.OfRows(count, lanes) : GemmPanels.OfColumns(count, lanes);
            var operand = new GemmOperand { Source = from, KStep = kStep, LaneStep = laneStep, Lanes = count, Depth = Depth, Panels = panels };
            var packed = new float[GemmOperand.PackedLength(panels, Depth)];
            fixed (float* to = packed)
            {
                operand.Packed = to;
                // In pieces, as several workers would.
                operand.Pack(0, panels.Count, 0, 13);
                operand.Pack(1, panels.Count, 13, Depth);
                operand.Pack(0, 1, 13, Depth);
                for (int i = 0; i < panels.Count; i++)
                {
                    for (int k = 0; k < Depth; k++)
                    {
                        for (int j = 0; j < panels.Width(i); j++)
                        {
                            int lane = panels.Start(i) + j;
                            Assert.Equal(lane < count ? from[k * kStep + lane * laneStep] : 0, operand.Panel(i)[k * panels.Width(i) + j]);
                        }
                    }
                }
            }
        }
    }

    [Fact]
    public void AStripSumsOverSegments()
    {
        // What a convolution needs: every tile sums over several groups of row pointers.
        const int Segments = 3, Depth = 5;
        RunStrip<GemmKernel256>(Segments, Depth);
        RunStrip<GemmKernel512>(Segments, Depth);
        RunStrip<GemmKernelPortable<Simd128>>(Segments, Depth);
    }

    private static void RunStrip<TKernel>(int segments, int depth) where TKernel : struct, IGemmKernel
    {
        int rows = TKernel.Rows + 1, tiles = 2, width = 2 * TKernel.Lanes, columns = width - 3;
        var random = new Random(2);
        float[] a = Integers(random, tiles * segments * TKernel.Rows * depth), b = Integers(random, segments * depth * width), c = new float[rows * columns];
        fixed (float* pa = a, pb = b, pc = c)
        {
            float** pointers = stackalloc float*[tiles * segments * TKernel.Rows];
            for (int i = 0; i < tiles * segments * TKernel.Rows; i++)
                pointers[i] = pa + i * depth;
            TKernel.Run(new GemmStrip
            {
                RowCount = rows, Vectors = 2, ColumnCount = columns, Segments = segments, Depth = depth,
                APointers = pointers, AStep = 1, B = pb, C = pc, CStep = columns,
            });
        }
        for (int row = 0; row < rows; row++)
        {
            for (int column = 0; column < columns; column++)
            {
                float sum = 0;
                for (int s = 0; s < segments; s++)
                {
                    int pointer = (row / TKernel.Rows * segments + s) * TKernel.Rows + row % TKernel.Rows;
                    for (int k = 0; k < depth; k++)
                        sum += a[pointer * depth + k] * b[(s * depth + k) * width + column];
                }
                Assert.Equal(sum, c[row * columns + column]);
            }
        }
    }

    private static float[] Integers(Random random, int count)
    {
        var values = new float[count];
        for (int i = 0; i < count; i++)
            values[i] = random.Next(-8, 9);
        return values;
    }
}
