using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;

namespace RawDiffusion.Backends.Cpu;

/// <summary>How the columns of B, or the rows of A, are cut into panels.</summary>
internal readonly struct GemmPanels
{
    private readonly int _lanes, _threes, _rest;

    private GemmPanels(int lanes, int threes, int rest, int count)
    {
        _lanes = lanes;
        _threes = threes;
        _rest = rest;
        Count = count;
    }

    /// <summary>
    /// Panels of B: as many of three vectors as leave a rest of panels of two, and one of one vector where there is no more. Not a
    /// whole vector is wasted, and tiles of one vector, which cannot keep the multipliers busy, are avoided.
    /// </summary>
    public static GemmPanels OfColumns(int columns, int lanes)
    {
        int vectors = (columns + lanes - 1) / lanes;
        if (vectors == 1)
            return new GemmPanels(lanes, 0, 1, 1);
        int twos = (3 - vectors % 3) % 3, threes = (vectors - 2 * twos) / 3;
        return new GemmPanels(lanes, threes, 2, threes + twos);
    }

    /// <summary>Panels of A: as wide as a tile has rows.</summary>
    public static GemmPanels OfRows(int rows, int tileRows) => new(tileRows, 0, 1, (rows + tileRows - 1) / tileRows);

    /// <summary>Number of panels.</summary>
    public int Count { get; }

    /// <summary>Width of a panel in vectors.</summary>
    public int Vectors(int panel) => panel < _threes ? 3 : _rest;

    /// <summary>Width of a panel in elements.</summary>
    public int Width(int panel) => Vectors(panel) * _lanes;

    /// <summary>First column (or row) of a panel; for <see cref="Count"/>, the end of the last, padding included.</summary>
    public int Start(int panel) => (3 * Math.Min(panel, _threes) + _rest * Math.Max(0, panel - _threes)) * _lanes;

    /// <summary>The end of the run of panels as wide as <paramref name="panel"/> that begins there, at most <paramref name="end"/>.</summary>
    public int RunEnd(int panel, int end) => panel < _threes ? Math.Min(_threes, end) : end;
}

/// <summary>One operand of a block: where its elements are and where its panels go.</summary>
internal unsafe struct GemmOperand
{
    /// <summary>Element (k, lane) is <c>Source[k * KStep + lane * LaneStep]</c>; one of the steps is 1.</summary>
    public float* Source;

    public nint KStep, LaneStep;

    /// <summary>Columns of B or rows of A in the block, and its extent in k.</summary>
    public int Lanes, Depth;

    public GemmPanels Panels;

    /// <summary>Where the panels are, or null when the operand is read in place.</summary>
    public float* Packed;

    /// <summary>
    /// Elements between panels. Without them, panels of 2^n values of k would begin at addresses that share one set of the
    /// first-level cache, and packing several at once would throw lines out before they are full.
    /// </summary>
    private const int Gap = 16;

    /// <summary>Elements that the panels take.</summary>
    public static nint PackedLength(in GemmPanels panels, int depth) => (nint)panels.Start(panels.Count) * depth + panels.Count * Gap;

    /// <summary>The first element of a panel.</summary>
    public readonly float* Panel(int panel) => Packed + (nint)Panels.Start(panel) * Depth + panel * Gap;

    /// <summary>Packs values [kBegin, kEnd) of k of some panels.</summary>
    public readonly void Pack(int panelBegin, int panelEnd, int kBegin, int kEnd)
    {
        for (int panel = panelBegin; panel < panelEnd;)
        {
            int start = Panels.Start(panel), width = Panels.Width(panel), count = 1;
            float* source = Source + kBegin * KStep + start * LaneStep;
            float* packed = Panel(panel) + (nint)kBegin * width;
            int whole = Math.Min(Panels.RunEnd(panel, panelEnd) - panel, (Lanes - start) / width);
            if (LaneStep == 1 && whole > 0)
                GemmPack.Rows(source, KStep, kEnd - kBegin, count = whole, width, (nint)width * Depth + Gap, packed);
            else
                GemmPack.Panel(source, KStep, LaneStep, kEnd - kBegin, Math.Min(width, Lanes - start), width, packed);
            panel += count;
        }
    }
}

/// <summary>
/// Copies parts of a matrix into panels that a <see cref="IGemmKernel"/> reads in order. A panel holds <c>width</c> lanes (columns
/// of B, rows of A) for every k: element (k, lane) is at <c>k * width + lane</c>. Lanes beyond the matrix are zero.
/// </summary>
internal static unsafe class GemmPack
{
    /// <summary>
    /// One panel. Element (k, lane) of the source is at <c>source[k * kStep + lane * laneStep]</c>, and one of the steps is 1.
    /// </summary>
    /// <param name="lanes">Lanes that exist, 1 to <paramref name="width"/>.</param>
    public static void Panel(float* source, nint kStep, nint laneStep, int depth, int lanes, int width, float* panel)
    {
        if (lanes == width && kStep == 1 && Avx.IsSupported && (width == 4 || width % 8 == 0))
            Transpose(source, laneStep, depth, width, panel);
        else if (lanes == width && laneStep == 1)
            Rows(source, kStep, depth, 1, width, 0, panel);
        else
            CopyElements(source, kStep, laneStep, depth, lanes, width, panel);
    }

    /// <summary>
    /// <paramref name="count"/> neighbouring panels of equal width, <paramref name="panelStep"/> elements apart, from lanes that
    /// lie side by side: whole rows of the source are read, which a wide matrix with a page per row rewards.
    /// </summary>
    public static void Rows(float* source, nint kStep, int depth, int count, int width, nint panelStep, float* panels)
    {
        for (int k = 0; k < depth; k++, source += kStep, panels += width)
        {
            float* from = source, to = panels;
            if (width == 24)
            {
                for (int i = 0; i < count; i++, from += 24, to += panelStep)
                {
                    Vector256.Store(Vector256.Load(from), to);
                    Vector256.Store(Vector256.Load(from + 8), to + 8);
                    Vector256.Store(Vector256.Load(from + 16), to + 16);
                }
            }
            else if (width == 4)
            {
                for (int i = 0; i < count; i++, from += 4, to += panelStep)
                    Vector128.Store(Vector128.Load(from), to);
            }
            else if (width == 48)
            {
                for (int i = 0; i < count; i++, from += 48, to += panelStep)
                {
                    Vector512.Store(Vector512.Load(from), to);
                    Vector512.Store(Vector512.Load(from + 16), to + 16);
                    Vector512.Store(Vector512.Load(from + 32), to + 32);
                }
            }
            else
            {
                for (int i = 0; i < count; i++, from += width, to += panelStep)
                {
                    for (int j = 0; j < width; j += 4)
                        Vector128.Store(Vector128.Load(from + j), to + j);
                }
            }
        }
    }

    private static void CopyElements(float* source, nint kStep, nint laneStep, int depth, int lanes, int width, float* panel)
    {
        for (int k = 0; k < depth; k++, source += kStep, panel += width)
        {
            for (int j = 0; j < lanes; j++)
                panel[j] = source[j * laneStep];
            for (int j = lanes; j < width; j++)
                panel[j] = 0;
        }
    }

    /// <summary>Lanes are rows of the source: blocks of 8 x 8, or of 4 x 8, are turned in registers.</summary>
    private static void Transpose(float* source, nint laneStep, int depth, int width, float* panel)
    {
        int k = 0;
        for (; k + 8 <= depth; k += 8)
        {
            float* to = panel + (nint)k * width;
            if (width == 4)
                Turn4(source + k, laneStep, to);
            for (int lane = 0; lane + 8 <= width; lane += 8)
                Turn8(source + lane * laneStep + k, laneStep, to + lane, width);
        }
        for (; k < depth; k++)
        {
            for (int lane = 0; lane < width; lane++)
                panel[(nint)k * width + lane] = source[lane * laneStep + k];
        }
    }

    /// <summary>4 lanes of 8 k.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Turn4(float* source, nint step, float* to)
    {
        var r0 = Vector256.Load(source);
        var r1 = Vector256.Load(source + step);
        var r2 = Vector256.Load(source + 2 * step);
        var r3 = Vector256.Load(source + 3 * step);
        var t0 = Avx.UnpackLow(r0, r1);
        var t1 = Avx.UnpackHigh(r0, r1);
        var t2 = Avx.UnpackLow(r2, r3);
        var t3 = Avx.UnpackHigh(r2, r3);
        // Each now holds four lanes of k and of k + 4.
        r0 = Avx.Shuffle(t0, t2, 0x44);
        r1 = Avx.Shuffle(t0, t2, 0xEE);
        r2 = Avx.Shuffle(t1, t3, 0x44);
        r3 = Avx.Shuffle(t1, t3, 0xEE);
        Vector256.Store(Avx.Permute2x128(r0, r1, 0x20), to);
        Vector256.Store(Avx.Permute2x128(r2, r3, 0x20), to + 8);
        Vector256.Store(Avx.Permute2x128(r0, r1, 0x31), to + 16);
        Vector256.Store(Avx.Permute2x128(r2, r3, 0x31), to + 24);
    }

    /// <summary>8 lanes of 8 k.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Turn8(float* source, nint step, float* to, nint toStep)
    {
        var r0 = Vector256.Load(source);
        var r1 = Vector256.Load(source + step);
        var r2 = Vector256.Load(source + 2 * step);
        var r3 = Vector256.Load(source + 3 * step);
        var r4 = Vector256.Load(source + 4 * step);
        var r5 = Vector256.Load(source + 5 * step);
        var r6 = Vector256.Load(source + 6 * step);
        var r7 = Vector256.Load(source + 7 * step);
        // Pairs of lanes, then quadruples, then the halves.
        var t0 = Avx.UnpackLow(r0, r1);
        var t1 = Avx.UnpackHigh(r0, r1);
        var t2 = Avx.UnpackLow(r2, r3);
        var t3 = Avx.UnpackHigh(r2, r3);
        var t4 = Avx.UnpackLow(r4, r5);
        var t5 = Avx.UnpackHigh(r4, r5);
        var t6 = Avx.UnpackLow(r6, r7);
        var t7 = Avx.UnpackHigh(r6, r7);
        r0 = Avx.Shuffle(t0, t2, 0x44);
        r1 = Avx.Shuffle(t0, t2, 0xEE);
        r2 = Avx.Shuffle(t1, t3, 0x44);
        r3 = Avx.Shuffle(t1, t3, 0xEE);
        r4 = Avx.Shuffle(t4, t6, 0x44);
        r5 = Avx.Shuffle(t4, t6, 0xEE);
        r6 = Avx.Shuffle(t5, t7, 0x44);
        r7 = Avx.Shuffle(t5, t7, 0xEE);
        Vector256.Store(Avx.Permute2x128(r0, r4, 0x20), to);
        Vector256.Store(Avx.Permute2x128(r1, r5, 0x20), to + toStep);
        Vector256.Store(Avx.Permute2x128(r2, r6, 0x20), to + 2 * toStep);
        Vector256.Store(Avx.Permute2x128(r3, r7, 0x20), to + 3 * toStep);
        Vector256.Store(Avx.Permute2x128(r0, r4, 0x31), to + 4 * toStep);
        Vector256.Store(Avx.Permute2x128(r1, r5, 0x31), to + 5 * toStep);
        Vector256.Store(Avx.Permute2x128(r2, r6, 0x31), to + 6 * toStep);
        Vector256.Store(Avx.Permute2x128(r3, r7, 0x31), to + 7 * toStep);
    }
}
