using System.Numerics;
using System.Runtime.InteropServices;

namespace RawDiffusion.Backends.Cuda;

/// <summary><c>Divisor</c> of <c>kernels/convolution.cuh</c>: what a kernel needs to divide 0 &lt;= n &lt; 2^31 by a number without dividing.</summary>
/// <remarks>
/// Granlund and Montgomery 1994, figure 4.1: with s = ceil(log2 d) and magic = floor(2^32 (2^s - d) / d) + 1,
/// n / d = (high32(magic n) + n) >> s.
/// </remarks>
[StructLayout(LayoutKind.Sequential)]
internal readonly struct Divisor
{
    private readonly uint _divisor;
    private readonly uint _magic;
    private readonly int _shift;

    /// <param name="divisor">1 or more.</param>
    public Divisor(int divisor)
    {
        _divisor = (uint)divisor;
        _shift = divisor == 1 ? 0 : 32 - BitOperations.LeadingZeroCount(_divisor - 1);
        _magic = (uint)((((1UL << _shift) - _divisor) << 32) / _divisor + 1);
    }

    /// <summary>What the kernel computes.</summary>
    public int Quotient(int n) => (int)(((uint)(((ulong)_magic * (uint)n) >> 32) + (uint)n) >> _shift);
}

/// <summary><c>Conv2d</c> of <c>kernels/convolution.cuh</c>, field for field.</summary>
[StructLayout(LayoutKind.Sequential)]
internal readonly struct ConvolutionArguments
{
    private readonly int _batch, _height, _width, _inChannels, _outChannels, _kernelHeight, _kernelWidth;
    private readonly int _strideHeight, _strideWidth, _padTop, _padLeft;
    private readonly int _groups, _outHeight, _outWidth;
    private readonly Divisor _inGroup, _outGroup, _byKernelWidth, _byOutWidth, _byOutHeight, _byImage, _moreTaps, _fewerTaps;

    public ConvolutionArguments(in Conv2dGeometry g)
    {
        (_batch, _height, _width, _inChannels, _outChannels) = (g.Batch, g.Height, g.Width, g.InChannels, g.OutChannels);
        (_kernelHeight, _kernelWidth, _strideHeight, _strideWidth) = (g.KernelHeight, g.KernelWidth, g.StrideHeight, g.StrideWidth);
        (_padTop, _padLeft, _groups, _outHeight, _outWidth) = (g.PadTop, g.PadLeft, g.Groups, g.OutHeight, g.OutWidth);
        _inGroup = new Divisor(g.InChannels / g.Groups);
        _outGroup = new Divisor(g.OutChannels / g.Groups);
        _byKernelWidth = new Divisor(g.KernelWidth);
        _byOutWidth = new Divisor(Math.Max(1, g.OutWidth));
        _byOutHeight = new Divisor(Math.Max(1, g.OutHeight));
        _byImage = new Divisor(Math.Max(1, g.OutHeight * g.OutWidth));
        _moreTaps = new Divisor((g.KernelWidth + g.StrideWidth - 1) / g.StrideWidth);
        _fewerTaps = new Divisor(Math.Max(1, g.KernelWidth / g.StrideWidth));
    }
}
