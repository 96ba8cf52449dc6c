namespace RawDiffusion.Backends.Cpu;

/// <summary>
/// A convolution reduced to what the loops need. For every point (n, row, column) of a grid and every tap (i, j) of a kernel
/// it reads the input pixel (n, FirstRow + row * StepRow + i, FirstColumn + column * StepColumn + j) and writes one output
/// pixel. The forward pass is one plan; the input gradient is one plan per phase of the stride.
/// </summary>
internal readonly record struct ConvPlan
{
    public required int Batch { get; init; }

    public required int Rows { get; init; }

    public required int Columns { get; init; }

    public required int InHeight { get; init; }

    public required int InWidth { get; init; }

    /// <summary>Channels of the input tensor: the distance of its pixels.</summary>
    public required int InPixel { get; init; }

    public required int FirstRow { get; init; }

    public required int FirstColumn { get; init; }

    public required int StepRow { get; init; }

    public required int StepColumn { get; init; }

    /// <summary>Taps along each axis.</summary>
    public required int TapRows { get; init; }

    public required int TapColumns { get; init; }

    public required int Groups { get; init; }

    /// <summary>Channels that are summed over, per group.</summary>
    public required int Reduce { get; init; }

    /// <summary>Channels that are written, per group.</summary>
    public required int Outputs { get; init; }

    // The output pixel of a grid point is at OutStart + n * OutImage + row * OutRow + column * OutColumn floats.
    public required int OutStart { get; init; }

    public required int OutImage { get; init; }

    public required int OutRow { get; init; }

    public required int OutColumn { get; init; }

    // The weight of tap (i, j), reduced channel c and output channel o of a group is at
    // group * WeightGroup + WeightStart + i * WeightRow + j * WeightColumn + c * WeightReduce + o * WeightOutput.
    public required int WeightGroup { get; init; }

    public required int WeightStart { get; init; }

    public required int WeightRow { get; init; }

    public required int WeightColumn { get; init; }

    public required int WeightReduce { get; init; }

    public required int WeightOutput { get; init; }

    public int GridPoints => Batch * Rows * Columns;

    /// <summary>Length of the reduction of one output element.</summary>
    public int Terms => TapRows * TapColumns * Reduce;

    public static ConvPlan Forward(in Conv2dGeometry g)
    {
        int inGroup = g.InChannels / g.Groups, outGroup = g.OutChannels / g.Groups;
        int taps = g.KernelHeight * g.KernelWidth;
        return new ConvPlan
        {
            Batch = g.Batch,
            Rows = g.OutHeight,
            Columns = g.OutWidth,
            InHeight = g.Height,
            InWidth = g.Width,
            InPixel = g.InChannels,
            FirstRow = -g.PadTop,
            FirstColumn = -g.PadLeft,
            StepRow = g.StrideHeight,
            StepColumn = g.StrideWidth,
            TapRows = g.KernelHeight,
            TapColumns = g.KernelWidth,
            Groups = g.Groups,
            Reduce = inGroup,
            Outputs = outGroup,
            OutStart = 0,
            OutImage = g.OutHeight * g.OutWidth * g.OutChannels,
            OutRow = g.OutWidth * g.OutChannels,
            OutColumn = g.OutChannels,
            WeightGroup = outGroup * taps * inGroup,
            WeightStart = 0,
            WeightRow = g.KernelWidth * inGroup,
            WeightColumn = inGroup,
            WeightReduce = 1,
            WeightOutput = taps * inGroup,
        };
    }

    /// <summary>
    /// The pixels of the input gradient whose row is <paramref name="phaseRow"/> and whose column is
    /// <paramref name="phaseColumn"/> modulo the stride. From ih + pad = oh * stride + kh it follows that such a row meets only
    /// every stride-th tap, and that successive ones of these, taken backwards, read successive rows of gy.
    /// </summary>
    public static ConvPlan GradInput(in Conv2dGeometry g, int phaseRow, int phaseColumn)
    {
        int inGroup = g.InChannels / g.Groups, outGroup = g.OutChannels / g.Groups;
        int taps = g.KernelHeight * g.KernelWidth;
        var (tapRows, lastKernelRow) = PhaseTaps(phaseRow + g.PadTop, g.StrideHeight, g.KernelHeight);
        var (tapColumns, lastKernelColumn) = PhaseTaps(phaseColumn + g.PadLeft, g.StrideWidth, g.KernelWidth);
        return new ConvPlan
        {
            Batch = g.Batch,
            Rows = (g.Height - phaseRow + g.StrideHeight - 1) / g.StrideHeight,
            Columns = (g.Width - phaseColumn + g.StrideWidth - 1) / g.StrideWidth,
            InHeight = g.OutHeight,
            InWidth = g.OutWidth,
            InPixel = g.OutChannels,
            FirstRow = (phaseRow + g.PadTop - lastKernelRow) / g.StrideHeight,
            FirstColumn = (phaseColumn + g.PadLeft - lastKernelColumn) / g.StrideWidth,
            StepRow = 1,
            StepColumn = 1,
            TapRows = tapRows,
            TapColumns = tapColumns,
            Groups = g.Groups,
            Reduce = outGroup,
            Outputs = inGroup,
            OutStart = (phaseRow * g.Width + phaseColumn) * g.InChannels,
            OutImage = g.Height * g.Width * g.InChannels,
            OutRow = g.StrideHeight * g.Width * g.InChannels,
            OutColumn = g.StrideWidth * g.InChannels,
            WeightGroup = outGroup * taps * inGroup,
            WeightStart = (lastKernelRow * g.KernelWidth + lastKernelColumn) * inGroup,
            WeightRow = -g.StrideHeight * g.KernelWidth * inGroup,
            WeightColumn = -g.StrideWidth * inGroup,
            WeightReduce = taps * inGroup,
            WeightOutput = 1,
        };
    }

    /// <summary>How many of the taps congruent to <paramref name="shift"/> a kernel has, and the last of them.</summary>
    private static (int Count, int Last) PhaseTaps(int shift, int stride, int kernel)
    {
        int first = shift % stride;
        int count = first < kernel ? (kernel - 1 - first) / stride + 1 : 0;
        return (count, first + (count - 1) * stride);
    }
}
